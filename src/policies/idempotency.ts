/**
 * Runs a call that has a key once: duplicates join it while it is under way and get its answer afterwards. It stands
 * outside everything that a call costs, so that duplicates cost nothing, and outside retry, whose tries are one run.
 */
import { readIdempotencyKey, writtenKey } from '../algorithms/idempotency-key.ts';
import { abandoned } from '../core/abandoned.ts';
import { Cancellation, unlessCancelled } from '../core/cancellation.ts';
import type { Exchange } from '../core/exchange.ts';
import { headerValues, withHeader, withoutHeaders } from '../core/header-list.ts';
import type { KeyedResult } from '../core/idempotency-store.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import type { RequestHead } from '../core/request.ts';
import { ReplayBody } from '../core/stored-answer.ts';
import type { StoredAnswer } from '../core/stored-answer.ts';
import { KeyedRun } from '../idempotency/keyed-run.ts';
import type { RunEnd, RunHost } from '../idempotency/keyed-run.ts';
import { keyedRequest } from '../idempotency/keyed-request.ts';
import type { KeyedRequest } from '../idempotency/keyed-request.ts';
import { refusal, unknownOutcome } from '../idempotency/refusals.ts';
import type { IdempotencyRefusal } from '../idempotency/refusals.ts';
import { Registry } from '../idempotency/registry.ts';
import type { RunResult } from '../idempotency/run-result.ts';
import { idempotencySchema } from '../schema/idempotency.ts';
import type { IdempotencyOptions } from '../schema/idempotency.ts';
import { independentBody } from '../streams/independent-body.ts';

/** What became of a request with a key, or of one that should have had one. */
export type IdempotencyResult =
  /** It was sent on its way. */
  | 'run'
  /** The same, while those who share keys could not be asked. */
  | 'run-alone'
  /** It got the answer of one that was under way. */
  | 'joined'
  /** It got an answer from the store. */
  | 'replayed'
  /** It got word that nobody knows what became of the first. */
  | 'unknown'
  | IdempotencyRefusal;

declare module '../core/events.ts' {
  interface EventMap {
    'idempotency-decided': {
      readonly exchange: Exchange;
      readonly upstream: string;
      readonly result: IdempotencyResult;
    };
    /** A run is over, and this is kept of it; `released`: nothing, for it had no effect. */
    'idempotency-ended': { readonly exchange: Exchange; readonly upstream: string; readonly end: RunEnd };
  }
}

/** A duplicate is told to come again before its deadline is over, not by its deadline. */
const WAIT_MARGIN_MS = 100;

const REPLAYED = 'Idempotent-Replayed';

const WAITING = 'while a request with the same key was under way';

class Idempotency implements Policy<Exchange> {
  readonly name = 'idempotency';
  readonly #options: IdempotencyOptions;
  readonly #deps: PolicyDeps;
  readonly #methods: ReadonlySet<string>;
  readonly #registry: Registry;
  /** The old bounds are in force until the first exchange. */
  #isSuccessor: boolean;

  constructor(options: IdempotencyOptions, deps: PolicyDeps, previous: Policy<Exchange> | undefined) {
    this.#options = options;
    this.#deps = deps;
    this.#methods = new Set(options.methods);
    this.#isSuccessor = previous instanceof Idempotency;
    this.#registry =
      previous instanceof Idempotency
        ? previous.#registry
        : new Registry(deps.stores(options.shared).idempotency(options), options);
  }

  run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    const { method, upgrade, headers } = exchange.request;
    if (!this.#methods.has(method) || upgrade !== undefined) return next(exchange, cancellation);
    const { header, derive, required, maxKeyLength } = this.#options;
    const reading = readIdempotencyKey(headerValues(headers, header.toLowerCase()), maxKeyLength);
    if (reading && 'problem' in reading)
      return Promise.resolve(this.#refuse(exchange, 'invalid', reading.problem));
    if (!reading && derive === false)
      return required
        ? Promise.resolve(this.#refuse(exchange, 'missing', `it belongs into the field ${header}`))
        : next(exchange, cancellation);
    return this.#runKeyed(exchange, next, { cancellation, sent: reading?.key });
  }

  snapshot(): Snapshot {
    const { counts, store } = this.#registry;
    return { ...store.usage, ...counts, shared: store.leases };
  }

  dispose(): void {
    // Runs end by themselves, within their bounds.
  }

  async #runKeyed(
    exchange: Exchange,
    next: Next<Exchange>,
    { cancellation, sent }: { readonly cancellation: Cancellation; readonly sent: string | undefined },
  ): Promise<Outcome> {
    if (this.#isSuccessor) this.#takeOver();
    const here = exchange.body.peek();
    const bytes = here === undefined ? await unlessCancelled(exchange.body.whole(), cancellation) : here;
    if (cancellation.cancelled) return abandoned(cancellation, 'no', WAITING);
    // The same words may well be asked again by others, or later, who want an answer, or a session, of their own.
    if (sent === undefined && exchange.call.repeat === 'safe') return next(exchange, cancellation);
    // A digest of less than all would be a key that other requests have, too.
    if (sent === undefined && bytes === undefined)
      return this.#options.required
        ? this.#refuse(exchange, 'missing', 'the body is too large to make one of it')
        : next(exchange, cancellation);
    const request = keyedRequest(exchange, this.#deps.owner, { sent, bytes });
    for (;;) {
      const known = this.#registry.runOf(request.key);
      const run = known ?? this.#newRun(exchange, next, { request, bytes });
      const result = await (known
        ? this.#wait(exchange, request, { run, cancellation })
        : this.#first(run, cancellation));
      const outcome = this.#outcomeOf(exchange, result, { run, cancellation, isFirst: !known });
      if (outcome) return outcome;
    }
  }

  #newRun(
    exchange: Exchange,
    next: Next<Exchange>,
    { request, bytes }: { readonly request: KeyedRequest; readonly bytes: Uint8Array | null | undefined },
  ): KeyedRun {
    const { ttl: ttlMs, lease: leaseMs, unknown, whenAway } = this.#options;
    const cancellation = new Cancellation();
    const independent = bytes !== undefined && this.#registry.recordings.reserve(bytes?.length ?? 0);
    const body = independent ? independentBody(bytes) : exchange.body;
    const twin = exchange.variedBy({
      request: this.#forwarded(exchange.request, request),
      body,
      cancellation,
    });
    const { key, fingerprint } = request;
    const run = new KeyedRun(
      {
        exchange: twin,
        cancellation,
        execute: () => next(twin, cancellation),
        claim: { key, fingerprint, ttlMs, leaseMs, runAgain: unknown === 'run-again', whenAway },
        maxWaitMs: this.#waitMs(exchange),
        independent,
      },
      this.#host(independent ? (bytes?.length ?? 0) : 0),
    );
    this.#registry.add(run);
    return run;
  }

  #host(reservedBytes: number): RunHost {
    const { clock, random, emit, upstream } = this.#deps;
    const { maxEntryBytes, finish: finishMs } = this.#options;
    const registry = this.#registry;
    const { store, recordings } = registry;
    return {
      ...{ clock, random, store, recordings, maxEntryBytes, finishMs },
      goOn: () => registry.goOn(),
      wanted: () => registry.wanted(),
      began: ({ exchange }, { shared }) => {
        const result = shared === store.leases ? 'run' : 'run-alone';
        emit('idempotency-decided', { exchange, upstream, result });
      },
      failed: (error) => emit('internal-error', { where: 'idempotency', error }),
      over: (run, end) => {
        registry.remove(run);
        recordings.release(reservedBytes);
        if (end) emit('idempotency-ended', { exchange: run.exchange, upstream, end });
      },
    };
  }

  #first(run: KeyedRun, cancellation: Cancellation): Promise<RunResult> {
    const result = run.wait(cancellation);
    void run.start();
    return result;
  }

  async #wait(
    exchange: Exchange,
    { fingerprint }: KeyedRequest,
    { run, cancellation }: { readonly run: KeyedRun; readonly cancellation: Cancellation },
  ): Promise<RunResult> {
    if (run.fingerprint !== fingerprint) return { kind: 'mismatch' };
    if (!this.#registry.enter()) return { kind: 'busy' };
    const result = await run.wait(cancellation, this.#waitMs(exchange));
    const leave = (): void => this.#registry.leave();
    if (result.kind === 'response') result.body.onEnd(leave);
    else leave();
    return result;
  }

  #waitMs({ deadlineAt }: Exchange): number {
    const leftMs = deadlineAt - this.#deps.clock.now() - WAIT_MARGIN_MS;
    return Math.max(0, Math.min(this.#options.maxWait, leftMs));
  }

  /** Undefined: the key is to be asked for again. */
  #outcomeOf(
    exchange: Exchange,
    result: RunResult,
    by: { readonly run: KeyedRun; readonly cancellation: Cancellation; readonly isFirst: boolean },
  ): Outcome | undefined {
    const { run, cancellation, isFirst } = by;
    // The ladder above asks it, too; the attempts are this exchange's own.
    if (isFirst) exchange.spend ??= run.exchange.spend;
    switch (result.kind) {
      case 'response':
      case 'ended':
        exchange.ownsRetries ||= run.exchange.ownsRetries;
        if (isFirst)
          return result.kind === 'ended' ? result.outcome : { ...result.outcome, body: result.body };
        this.#decided(exchange, 'joined');
        return joined(result);
      case 'done':
        return this.#known(exchange, result.result, cancellation);
      case 'left':
        return abandoned(cancellation, run.begun ? 'maybe' : 'no', WAITING);
      case 'again':
        return cancellation.cancelled ? abandoned(cancellation, 'no', WAITING) : undefined;
      default:
        return this.#refuse(exchange, result.kind);
    }
  }

  #known(exchange: Exchange, result: KeyedResult, cancellation: Cancellation): Outcome {
    if (result.kind === 'unkept') {
      const detail = result.status > 0 ? `it was answered with status ${result.status}` : undefined;
      return this.#refuse(exchange, 'not-kept', detail);
    }
    if (result.kind === 'unknown') {
      this.#decided(exchange, 'unknown');
      exchange.ownsRetries = true;
      return unknownOutcome(result.why);
    }
    this.#decided(exchange, 'replayed');
    const verdict = exchange.upstream.dialect.classify(result.answer.head, () => this.#deps.clock.wallTime());
    return { ...replayed(result.answer, cancellation), verdict };
  }

  #refuse(exchange: Exchange, why: IdempotencyRefusal, detail?: string): Outcome {
    this.#decided(exchange, why);
    const outcome = refusal(why, detail);
    // What another try cannot change is not tried again.
    if (outcome.retryAfterMs === undefined) exchange.ownsRetries = true;
    return outcome;
  }

  #decided(exchange: Exchange, result: IdempotencyResult): void {
    this.#deps.emit('idempotency-decided', { exchange, upstream: this.#deps.upstream, result });
  }

  #forwarded(request: RequestHead, { name, derived }: KeyedRequest): RequestHead {
    const { header, forward } = this.#options;
    if (forward === 'none' && !derived)
      return { ...request, headers: withoutHeaders(request.headers, new Set([header.toLowerCase()])) };
    if (forward !== 'all' || !derived) return request;
    return { ...request, headers: withHeader(request.headers, header, writtenKey(name)) };
  }

  #takeOver(): void {
    this.#isSuccessor = false;
    const open = this.#deps.stores(this.#options.shared).idempotency;
    this.#registry.reconfigure(open(this.#options, this.#registry.store), this.#options);
  }
}

const replayed = ({ head, chunks, trailers }: StoredAnswer, cancellation: Cancellation) => ({
  kind: 'response' as const,
  from: 'replay' as const,
  head: { ...head, headers: withHeader(head.headers, REPLAYED, 'true') },
  body: new ReplayBody({ head, chunks, trailers }, cancellation),
});

/** The same for a duplicate: the attempts that brought it are those of another exchange. */
function joined(result: Extract<RunResult, { kind: 'response' | 'ended' }>): Outcome {
  const { outcome } = result;
  if (outcome.kind === 'rejection') return outcome;
  const { attempt: _theirs, ...rest } = outcome;
  if (result.kind === 'ended' || rest.kind === 'failure') return rest;
  const head = { ...rest.head, headers: withHeader(rest.head.headers, REPLAYED, 'true') };
  return { ...rest, from: 'replay', head, body: result.body };
}

export const idempotency: PolicyModule<Exchange, typeof idempotencySchema> = {
  name: 'idempotency',
  key: 'idempotency',
  schema: idempotencySchema,
  onByDefault: false,
  build: (options, deps, previous) => new Idempotency(options, deps, previous),
};
