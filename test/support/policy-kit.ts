/** What a test needs to drive a policy without sockets: a scripted rest of the pipeline, exchanges, and bodies that end on command. */
import { BodyEnd } from '../../src/core/body-end.ts';
import { Cancellation } from '../../src/core/cancellation.ts';
import type { CancelReason } from '../../src/core/cancellation.ts';
import type { Clock } from '../../src/core/clock.ts';
import { CREDENTIAL_HEADERS } from '../../src/core/credential-headers.ts';
import type { Ejections } from '../../src/core/ejections.ts';
import type { Endpoint } from '../../src/core/endpoint.ts';
import type { Emit, EventMap, EventName } from '../../src/core/events.ts';
import { Attempt, Exchange } from '../../src/core/exchange.ts';
import type { ExchangeInit } from '../../src/core/exchange.ts';
import type {
  BodySink,
  Completion,
  FailureOutcome,
  Outcome,
  RejectionOutcome,
  ResponseBody,
  ResponseOutcome,
} from '../../src/core/outcome.ts';
import type { Next, PolicyDeps, Scope } from '../../src/core/policy.ts';
import { seededRandom } from '../../src/core/random.ts';
import { reasonOfCancel } from '../../src/core/reasons.ts';
import type { Reason } from '../../src/core/reasons.ts';
import { bodyOfBytes, NO_BODY } from '../../src/core/request-bodies.ts';
import type { RequestHead } from '../../src/core/request.ts';
import type { UpstreamIdentity } from '../../src/core/upstream-identity.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import type { Verdict } from '../../src/core/verdict.ts';
import { generic } from '../../src/dialects/generic.ts';
import { classifier } from '../../src/endpoints/classify.ts';
import { memoryStores } from '../../src/stores/memory/stores.ts';
import { FakeClock } from './fake-clock.ts';

export { bodyOfBytes as bytesBody, NO_BODY };

export const ENDPOINT: Endpoint = {
  name: 'http://one.test',
  origin: 'http://one.test',
  host: 'one.test',
  serverName: 'one.test',
  basePath: '',
  weight: 1,
  priority: 0,
  zone: undefined,
  metadata: {},
  instance: undefined,
};

/** A body that ends when the test says so. It ends by itself when its attempt is cancelled, if it is bound to one. */
export class ControlledBody extends BodyEnd implements ResponseBody {
  discards = 0;
  pipes = 0;
  ended = false;
  #sink: BodySink | undefined;

  pipe(sink: BodySink): void {
    this.pipes += 1;
    this.#sink = sink;
  }

  resume(): void {
    // Nothing is held back here.
  }

  discard(): void {
    this.discards += 1;
    this.#end({ end: 'discarded', bytes: 0 });
  }

  complete(bytes = 0): void {
    this.#end({ end: 'complete', bytes });
  }

  /** The upstream closed in the middle. */
  breakOff(): void {
    this.#end({ end: 'upstream-aborted', reason: 'response_incomplete', bytes: 1 });
  }

  failByTimer(reason: Reason = 'idle_timeout'): void {
    this.#end({ end: 'timed-out', reason, bytes: 1 });
  }

  failByClient(reason: Reason = 'client_aborted'): void {
    this.#end({ end: 'client-aborted', reason, bytes: 1 });
  }

  /** What the transport makes of a cancellation in the middle of a body. */
  failByCancel(cancelled: CancelReason): void {
    const reason = reasonOfCancel(cancelled);
    if (cancelled === 'client-aborted' || cancelled === 'caller-deadline') this.failByClient(reason);
    else if (cancelled === 'superseded' || cancelled === 'shutdown')
      this.#end({ end: 'discarded', reason, bytes: 1 });
    else this.failByTimer(reason);
  }

  #end(completion: Completion): void {
    if (this.ended) return;
    this.ended = true;
    if (completion.end === 'complete') this.#sink?.end([]);
    else this.#sink?.abort(completion);
    this.settleEnd(completion);
  }
}

type ResponseParts = Partial<Omit<ResponseOutcome, 'kind' | 'head'>> & {
  readonly headers?: readonly string[];
};

/** An answer of the upstream, judged as the generic dialect would. */
export function respond(status = 200, parts: ResponseParts = {}): ResponseOutcome & { body: ResponseBody } {
  const { headers = [], ...rest } = parts;
  const head = { status, statusText: '', headers };
  const verdict = generic.classify(head, () => new Date(0));
  return { kind: 'response', from: 'upstream', head, body: new ControlledBody(), verdict, ...rest };
}

const judge = classifier([], generic, () => new Date(0));

/** A try without an answer, judged as the endpoint's classifier would. */
export function fail(
  reason: Reason = 'connection_reset',
  parts: Partial<FailureOutcome> = {},
): FailureOutcome {
  const failure: FailureOutcome = {
    kind: 'failure',
    reason,
    requestSent: 'maybe',
    staleConnection: false,
    verdict: verdictOf('transient'),
    detail: '',
    ...parts,
  };
  return parts.verdict ? failure : { ...failure, verdict: judge(failure) };
}

export const refuse = (
  reason: Reason = 'no_endpoint',
  parts: Partial<RejectionOutcome> = {},
): RejectionOutcome => ({ kind: 'rejection', reason, by: 'test', verdict: verdictOf('refused'), ...parts });

/** What the pipeline below says when it is cancelled before it has an answer. */
export function cancelledOutcome(cancelled: CancelReason): FailureOutcome {
  const reason = reasonOfCancel(cancelled);
  return cancelled === 'caller-deadline' ? fail(reason, { verdict: verdictOf('abandoned') }) : fail(reason);
}

/** One step of a script: an outcome, or a way to it. */
export type Step<S extends Scope> =
  Outcome | ((scope: S, cancellation: Cancellation) => Outcome | Promise<Outcome>);

export interface RecordedCall<S extends Scope> {
  readonly scope: S;
  readonly cancellation: Cancellation;
  readonly at: number;
}

/** The rest of the pipeline: plays its steps in order, the last one again and again, and remembers every call. */
export class Script<S extends Scope> {
  readonly calls: RecordedCall<S>[] = [];
  /** Every outcome that was given out. */
  readonly given: Outcome[] = [];
  readonly #clock: FakeClock;
  readonly #steps: readonly Step<S>[];

  constructor(clock: FakeClock, ...steps: readonly Step<S>[]) {
    this.#clock = clock;
    this.#steps = steps;
  }

  readonly next: Next<S> = async (scope, cancellation) => {
    this.calls.push({ scope, cancellation, at: this.#clock.now() });
    const step = this.#steps[Math.min(this.calls.length, this.#steps.length) - 1] ?? respond();
    const outcome = typeof step === 'function' ? await step(scope, cancellation) : step;
    this.given.push(outcome);
    this.#bindBody(outcome, cancellation);
    return outcome;
  };

  /** Milliseconds from each call to the one after. */
  get gaps(): number[] {
    return this.calls.slice(1).map(({ at }, index) => at - (this.calls[index]?.at ?? 0));
  }

  /** As the transport does: a cancelled attempt has no body. Leaves no listener behind. */
  #bindBody(outcome: Outcome, cancellation: Cancellation): void {
    if (outcome.kind !== 'response' || !(outcome.body instanceof ControlledBody)) return;
    const { body } = outcome;
    const onCancel = (reason: CancelReason): void => body.failByCancel(reason);
    cancellation.onCancel(onCancel);
    void body.completion.then(() => cancellation.off(onCancel));
  }
}

/** Says nothing until it is cancelled. */
export const silence = (_: Scope, cancellation: Cancellation): Promise<Outcome> =>
  new Promise((resolve) => {
    cancellation.onCancel((reason) => resolve(cancelledOutcome(reason)));
  });

/** Gives `outcome` after `ms`, or less when it is cancelled. */
export const after =
  (clock: FakeClock, ms: number, outcome: Outcome) =>
  (_: Scope, cancellation: Cancellation): Promise<Outcome> =>
    new Promise((resolve) => {
      const onCancel = (reason: CancelReason): void => {
        clock.clearTimer(timer);
        resolve(cancelledOutcome(reason));
      };
      const timer = clock.setTimer(ms, () => {
        cancellation.off(onCancel);
        resolve(outcome);
      });
      cancellation.onCancel(onCancel);
    });

/** Everything that was emitted, in order. */
export class EventLog {
  readonly all: { readonly name: EventName; readonly event: EventMap[EventName] }[] = [];

  readonly emit: Emit = (name, event) => {
    this.all.push({ name, event });
  };

  of<N extends EventName>(name: N): EventMap[N][] {
    return this.all.filter((one) => one.name === name).map(({ event }) => event as EventMap[N]);
  }

  get names(): EventName[] {
    return this.all.map(({ name }) => name);
  }
}

/** Of an upstream whose endpoints nobody asks about. */
export const NO_EJECTIONS: Ejections = {
  size: 0,
  endpoints: [],
  find: () => undefined,
  canSpare: () => false,
};

export interface Kit {
  readonly clock: FakeClock;
  readonly events: EventLog;
  readonly deps: PolicyDeps;
}

export function kit(deps: Partial<PolicyDeps> = {}): Kit {
  const clock = new FakeClock();
  const events = new EventLog();
  const stores = memoryStores(clock);
  return {
    clock,
    events,
    deps: {
      clock,
      random: seededRandom(7),
      emit: events.emit,
      upstream: 'main',
      owner: 'main',
      credentials: [],
      endpoints: [],
      ejections: NO_EJECTIONS,
      sendTo: () => undefined,
      stores: () => stores,
      ...deps,
    },
  };
}

export const identity = (name = 'main', parts: Partial<UpstreamIdentity> = {}): UpstreamIdentity => ({
  name,
  dialect: generic,
  idempotent: false,
  credentialHeaders: CREDENTIAL_HEADERS,
  ...parts,
});

export interface ExchangeParts extends Partial<Omit<ExchangeInit, 'request' | 'upstream'>> {
  readonly request?: Partial<RequestHead>;
  readonly upstream?: Partial<UpstreamIdentity>;
}

let exchanges = 0;

/** A GET without a body, unless told otherwise, that starts now. */
export function exchangeAt(clock: Pick<Clock, 'now'>, parts: ExchangeParts = {}): Exchange {
  const { request, upstream, ...rest } = parts;
  exchanges += 1;
  return new Exchange({
    id: `exchange-${exchanges}`,
    traceId: 'trace',
    agentId: undefined,
    route: '/main',
    upstream: identity(upstream?.name, upstream),
    client: () => ({ address: '127.0.0.1', secure: false }),
    request: { method: 'GET', target: '/v1/things', headers: [], host: 'client.test', ...request },
    body: NO_BODY,
    startedAt: clock.now(),
    cancellation: new Cancellation(),
    callerTimeoutMs: undefined,
    clientRetries: 0,
    onInformational: undefined,
    ...rest,
  });
}

export const attemptAt = (
  clock: Pick<Clock, 'now'>,
  exchange = exchangeAt(clock),
  endpoint = ENDPOINT,
): Attempt => new Attempt(exchange, endpoint, new Cancellation(exchange.cancellation), clock.now());

/** Ends a body in the normal way, whoever made it. */
export function finish(outcome: Outcome): void {
  if (outcome.kind !== 'response') return;
  if (outcome.body instanceof ControlledBody) outcome.body.complete();
  else outcome.body.pipe(new CollectingSink());
}

/** Keeps what is written to it. */
export class CollectingSink implements BodySink {
  readonly chunks: Uint8Array[] = [];
  ended = false;
  aborted: Completion | undefined;

  write(chunk: Uint8Array): boolean {
    this.chunks.push(chunk);
    return true;
  }

  end(): void {
    this.ended = true;
  }

  abort(completion: Completion): void {
    this.aborted = completion;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('utf8');
  }
}

/** The body of an answer as text. */
export function textOf(outcome: Outcome): string {
  if (outcome.kind !== 'response') throw new Error(`expected a response, got ${outcome.kind}`);
  const sink = new CollectingSink();
  outcome.body.pipe(sink);
  return sink.text;
}

/** The body of an outcome that this kit made. */
export function bodyOf(outcome: Outcome | undefined): ControlledBody {
  if (outcome?.kind !== 'response' || !(outcome.body instanceof ControlledBody))
    throw new Error('expected a response of this kit');
  return outcome.body;
}

/** The verdict that a test needs and the generic dialect would not give. */
export const judged = (verdict: Verdict): { readonly verdict: Verdict } => ({ verdict });
