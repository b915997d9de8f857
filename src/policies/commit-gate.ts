/**
 * Holds an answer back until it is known to be one: until the first word of a stream, until the whole of a JSON body. An
 * error, a cut or a stall before that becomes a failure like any other, which retries and ladders can mend unseen. It
 * stands innermost, so that everything above sees the truth about the attempt.
 */
import { z } from 'zod';
import { messageIn } from '../algorithms/error-message.ts';
import type { Cancellation } from '../core/cancellation.ts';
import { AnswerFacts } from '../core/dialect.ts';
import type { CallFacts, Continuation, Dialect, StreamReader } from '../core/dialect.ts';
import type { Attempt } from '../core/exchange.ts';
import { headerValue, hasHeader, withHeader } from '../core/header-list.ts';
import type { Completion, FailureOutcome, Outcome, ResponseOutcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { REASONS } from '../core/reasons.ts';
import type { Reason } from '../core/reasons.ts';
import { verdictOf } from '../core/verdict.ts';
import type { Waste } from '../core/waste.ts';
import { positiveDuration, size } from '../schema/scalars.ts';
import { HeldBody } from '../streams/held-body.ts';
import { JsonWatch } from '../streams/json-watch.ts';
import { StreamWatch } from '../streams/stream-watch.ts';
import type { Decision } from '../streams/stream-watch.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /**
     * An answer whose protocol is known has ended, or was thrown away. Emitted once for each: `attempt.answer` says what
     * was in it, `attempt.wasted` whether it was for nothing.
     */
    'answer-read': { readonly attempt: Attempt; readonly upstream: string };
  }
}

export const commitGateSchema = z
  .strictObject({
    holdStream: size
      .prefault('64KiB')
      .describe('Bytes of a stream that are held while its first word has not come.'),
    holdJson: size
      .prefault('1MiB')
      .describe(
        'Largest JSON answer that is held to be judged by what it says; larger ones are passed on unread.',
      ),
    holdFor: positiveDuration
      .prefault('60s')
      .describe('Longest time to hold either. What comes after that is passed on as it is.'),
    keepAlive: z
      .union([z.literal(false), positiveDuration])
      .prefault(false)
      .describe('Send a comment into an event stream that has been silent this long. `false`: never.'),
  })
  .describe('Holds an answer back until it is known to be one.');

export type CommitGateOptions = z.output<typeof commitGateSchema>;

const JSON_TYPE = /^application\/([a-z0-9.-]+\+)?json\b/i;
const EVENT_STREAM = /^text\/event-stream\b/i;

class CommitGate implements Policy<Attempt> {
  readonly name = 'commit-gate';
  readonly #options: CommitGateOptions;
  readonly #deps: PolicyDeps;

  constructor(options: CommitGateOptions, deps: PolicyDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async run(attempt: Attempt, next: Next<Attempt>, cancellation: Cancellation): Promise<Outcome> {
    // What is compressed can be read, but nothing can be added to it when it breaks off.
    attempt.replaceHeaders(withHeader(attempt.headers, 'accept-encoding', 'identity'));
    const outcome = await next(attempt, cancellation);
    if (outcome.kind !== 'response' || outcome.tunnel) return outcome;
    const watched = this.#watch(attempt, outcome);
    return watched ? this.#hold(attempt, outcome, watched) : outcome;
  }

  snapshot(): Snapshot {
    const { holdStream, holdJson, holdFor, keepAlive } = this.#options;
    return {
      holdStreamBytes: holdStream,
      holdJsonBytes: holdJson,
      holdForMs: holdFor,
      keepAliveMs: keepAlive,
    };
  }

  dispose(): void {
    // Everything it holds belongs to attempts.
  }

  /** How to watch this answer; undefined where there is nothing to learn from it. */
  #watch(attempt: Attempt, { head }: ResponseOutcome): ((decide: Decide) => Watch) | undefined {
    const { call, request } = attempt.exchange;
    const type = headerValue(head.headers, 'content-type') ?? '';
    if (request.method === 'HEAD' || head.status === 204 || head.status === 304) return undefined;
    if (head.status < 300 && EVENT_STREAM.test(type)) return this.#streamWatch(attempt, head, call);
    if (head.status < 400 && !isAnswerDue(attempt, head)) return undefined;
    if (JSON_TYPE.test(type)) return this.#jsonWatch(attempt, head, this.#options.holdJson);
    // Sound, text, whatever a computation makes: one byte shows that it is not nothing.
    return head.status === 200 && call.repeat === 'compute' ? this.#jsonWatch(attempt, head, 0) : undefined;
  }

  #streamWatch(
    attempt: Attempt,
    head: ResponseOutcome['head'],
    call: CallFacts,
  ): ((decide: Decide) => Watch) | undefined {
    const { dialect } = attempt.exchange.upstream;
    const facts = new AnswerFacts();
    const reader = dialect.follow?.(call, facts);
    if (!reader) return undefined;
    // Who may be silent from the start is not waited for.
    facts.streamed = reader.immediate !== true;
    attempt.answer = facts;
    const { keepAlive, holdStream } = this.#options;
    return (decide) =>
      new StreamWatch({
        reader,
        facts,
        clock: this.#deps.clock,
        contentEncoding: headerValue(head.headers, 'content-encoding'),
        holdBytes: holdStream,
        keepAliveMs: keepAlive === false || hasHeader(head.headers, 'content-length') ? undefined : keepAlive,
        decide,
        goesOn: () => {
          attempt.continuation = continuationOf(reader, attempt);
          attempt.clientResumes = reader.resumable === true;
          return attempt.continuation !== undefined;
        },
        known: call.operation !== undefined,
        framed: hasHeader(head.headers, 'content-length'),
        frameEnd: dialect.frameEnd ?? '\n\n',
        farewell: (reason) => farewellOf(attempt, head, reason),
        judge: (json) => dialect.classify(head, () => this.#deps.clock.wallTime(), json),
        onDiscard: () => giveUp(attempt),
      });
  }

  #jsonWatch(attempt: Attempt, head: ResponseOutcome['head'], maxBytes: number): (decide: Decide) => Watch {
    const { upstream, call } = attempt.exchange;
    if (head.status < 400) attempt.answer = new AnswerFacts();
    return (decide) =>
      new JsonWatch({
        contentEncoding: headerValue(head.headers, 'content-encoding'),
        maxBytes,
        isError: head.status >= 400,
        read: (json) => this.#readJson(attempt, upstream.dialect, json, call),
        readTail: (members) => void upstream.dialect.readJson?.(members, call, factsOf(attempt)),
        decide,
        onDiscard: () => giveUp(attempt),
      });
  }

  #readJson(attempt: Attempt, dialect: Dialect, json: unknown, call: CallFacts): Decision {
    const facts = factsOf(attempt);
    const reading = dialect.readJson?.(json, call, facts);
    if (reading?.kind === 'error') return { kind: 'fail', reason: 'upstream_error', json };
    if (reading?.kind === 'empty') return { kind: 'fail', reason: 'empty_answer' };
    facts.firstTokenAt = this.#deps.clock.now();
    return { kind: 'pass', json };
  }

  #hold(attempt: Attempt, outcome: ResponseOutcome, watchFor: (decide: Decide) => Watch): Promise<Outcome> {
    const { clock } = this.#deps;
    return new Promise((resolve) => {
      const watch = watchFor((decision) => {
        clock.clearTimer(timer);
        if (decision.kind === 'pass')
          resolve({ ...outcome, body, ...(decision.json !== undefined && { json: decision.json }) });
        else {
          body.drop();
          // What still comes is the rest of something that is no answer.
          if (attempt.phase !== 'ended') giveUp(attempt);
          this.#tell(attempt, wasteOfFailure(decision.reason));
          resolve(failureOf(attempt, outcome, decision));
        }
      });
      const limit = Math.max(this.#options.holdStream, this.#options.holdJson) + MARGIN_BYTES;
      const body: HeldBody = new HeldBody(outcome.body, watch, limit);
      watch.attach(body);
      const timer = clock.setTimer(this.#options.holdFor, () => watch.commit());
      body.onEnd(({ end }) => this.#tell(attempt, WASTE_OF_END[end]));
      if (!watch.readable) attempt.answer = undefined;
      if (!watch.worthHolding) watch.commit();
      body.start();
    });
  }

  #tell(attempt: Attempt, wasted: Waste | undefined): void {
    attempt.wasted = wasted;
    this.#deps.emit('answer-read', { attempt, upstream: this.#deps.upstream });
  }
}

/** Statuses that say all there is to say: accepted, and nothing to show. */
const BODILESS: ReadonlySet<number> = new Set([202, 205]);

/** Whether a whole answer must have something in it. */
function isAnswerDue({ exchange }: Attempt, head: ResponseOutcome['head']): boolean {
  const { call, request, upstream } = exchange;
  if (head.status >= 300 || BODILESS.has(head.status) || request.method === 'DELETE') return false;
  return (
    call.operation !== undefined && call.expectsAnswer !== false && !upstream.dialect.isStream(head, call)
  );
}

/** One read of a socket may go beyond what is held. */
const MARGIN_BYTES = 128 * 1024;

type Decide = (decision: Decision) => void;
type Watch = StreamWatch | JsonWatch;

const factsOf = (attempt: Attempt): AnswerFacts => (attempt.answer ??= new AnswerFacts());

const WASTE_OF_END: Readonly<Record<Completion['end'], Waste | undefined>> = {
  complete: undefined,
  'upstream-aborted': 'cut',
  'timed-out': 'cut',
  'client-aborted': 'client-gone',
  discarded: 'discarded',
};

/** Before commit. What looks like a failure may be our doing, or the client's. */
function wasteOfFailure(reason: Reason): Waste {
  if (reason === 'client_aborted') return 'client-gone';
  return reason === 'superseded' || reason === 'shutting_down' ? 'discarded' : 'failed';
}

/** A reader works on what an upstream wrote: whatever it stumbles over there must not leave a client waiting. */
function continuationOf(reader: StreamReader, attempt: Attempt): Continuation | undefined {
  try {
    return reader.continuation?.(attempt.exchange.request);
  } catch {
    return undefined;
  }
}

const giveUp = (attempt: Attempt): void => attempt.cancellation.cancel('superseded');

function failureOf(
  attempt: Attempt,
  { head }: ResponseOutcome,
  { reason, json }: Extract<Decision, { kind: 'fail' }>,
): FailureOutcome {
  return {
    kind: 'failure',
    reason,
    requestSent: 'maybe',
    staleConnection: false,
    verdict: verdictOf('transient'),
    attempt: attempt.number,
    detail: messageIn(json) ?? '',
    head,
    ...(json !== undefined && { json }),
  };
}

/** What a client is told in the middle of a stream; undefined where its framing leaves no room for more. */
function farewellOf(attempt: Attempt, head: ResponseOutcome['head'], reason: Reason): string | undefined {
  if (hasHeader(head.headers, 'content-length')) return undefined;
  const { exchange } = attempt;
  return exchange.upstream.dialect.renderStreamError?.({
    ...REASONS[reason],
    reason,
    detail: undefined,
    requestId: exchange.id,
    retryAfterMs: undefined,
    call: exchange.call,
    sent: 'maybe',
  });
}

export const commitGate: PolicyModule<Attempt, typeof commitGateSchema> = {
  name: 'commit-gate',
  key: 'commitGate',
  schema: commitGateSchema,
  onByDefault: true,
  // Bytes of protocols that nobody can read are passed on as they come.
  suits: (dialect) => dialect.readJson !== undefined || dialect.follow !== undefined,
  build: (options, deps) => new CommitGate(options, deps),
};
