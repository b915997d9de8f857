/**
 * Bounds how many exchanges an upstream has at a time, so that a slow one cannot take the sockets, the memory and the
 * patience that the others need. It stands outside retry, so that an exchange has one permit however often it is tried,
 * and holds it until the body has ended: a streamed completion occupies the upstream all that time.
 */
import { z } from 'zod';
import { AdaptiveLimit } from '../algorithms/adaptive-limit.ts';
import type { AdaptiveOptions } from '../algorithms/adaptive-limit.ts';
import type { LoadSample } from '../algorithms/concurrency-limit.ts';
import { PermitLine } from '../algorithms/permit-line.ts';
import type { Admission, Permit, PermitLineOptions, Refusal } from '../algorithms/permit-line.ts';
import { abandonedInLine } from '../core/abandoned.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Attempt, Exchange } from '../core/exchange.ts';
import type { Outcome, RejectionOutcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import type { Reason } from '../core/reasons.ts';
import { verdictOf } from '../core/verdict.ts';
import { adaptiveLimitSchema } from '../schema/adaptive-limit.ts';
import { prioritySchema, rankOf } from '../schema/priority.ts';
import { count, positiveCount, positiveDuration } from '../schema/scalars.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** Somebody has to wait for a place or is refused, the first time in a minute or more. */
    'bulkhead-full': { readonly upstream: string; readonly limit: number };
    /** A call has waited. */
    'bulkhead-waited': {
      readonly exchange: Exchange;
      readonly upstream: string;
      readonly waitedMs: number;
      /** `left`: the client did, or its time was up. */
      readonly end: 'sent' | 'refused' | 'left';
    };
    'bulkhead-refused': { readonly exchange: Exchange; readonly upstream: string; readonly why: Refusal };
    /** An adaptive limit has come down to its minimum. */
    'bulkhead-at-minimum': { readonly upstream: string; readonly limit: number };
  }
}

export const bulkheadSchema = z
  .strictObject({
    maxConcurrent: positiveCount
      .default(16)
      .describe('Most exchanges at a time, bodies included; the most that an adaptive limit grows to.'),
    adaptive: adaptiveLimitSchema,
    maxQueue: count
      .default(100)
      .describe('Most exchanges that wait at a time; further ones are refused at once. 0: none waits.'),
    queueTimeout: positiveDuration
      .prefault('10s')
      .describe('Longest wait; an exchange that has waited for so long is refused.'),
    order: z
      .enum(['strict', 'weighted'])
      .default('strict')
      .describe(
        'How ranks share what becomes free. strict: the higher first, but for ageing; weighted: each has twice the turns of the next lower one.',
      ),
    priority: prioritySchema,
  })
  .refine(({ adaptive, maxConcurrent }) => adaptive === false || adaptive.min <= maxConcurrent, {
    error: 'expected adaptive.min to be at most maxConcurrent',
  })
  .describe('Bounds how many exchanges the upstream has at a time.');

export type BulkheadOptions = z.output<typeof bulkheadSchema>;

/** What lives on when the options change. */
interface Live {
  readonly line: PermitLine;
  limiter: AdaptiveLimit | undefined;
}

export class Bulkhead implements Policy<Exchange> {
  readonly name = 'bulkhead';
  readonly #options: BulkheadOptions;
  readonly #deps: PolicyDeps;
  readonly #live: Live;
  /** True until the first exchange after a reload: until then, the new configuration may yet be refused. */
  #isSuccessor: boolean;

  constructor(options: BulkheadOptions, deps: PolicyDeps, previous: Policy<Exchange> | undefined) {
    this.#options = options;
    this.#deps = deps;
    this.#isSuccessor = previous instanceof Bulkhead;
    this.#live = previous instanceof Bulkhead ? previous.#live : this.#begin();
  }

  async run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    if (this.#isSuccessor) this.#takeOver();
    const { line } = this.#live;
    const flow = exchange.agentId ?? exchange.client().address;
    let permit = line.take(flow);
    if (!permit) {
      const admission = await this.#wait(exchange, flow, cancellation);
      if (admission.kind === 'left')
        return abandonedInLine(exchange, cancellation, 'while waiting for a place');
      if (admission.kind === 'refused') return this.#refuse(exchange, admission);
      ({ permit } = admission);
    }
    this.#live.limiter?.used(line.active);
    const first = exchange.attempts.length;
    const outcome = await next(exchange, cancellation);
    if (outcome.verdict.class === 'ok') line.answered(permit);
    this.#learn(exchange.attempts.slice(first));
    this.#releaseAfter(outcome, permit);
    return outcome;
  }

  snapshot(): Snapshot {
    const { line, limiter } = this.#live;
    const { active, queued, limit, refused } = line;
    const baselineMs = limiter?.baselineMs;
    return {
      active,
      queued,
      limit,
      refused,
      adaptive: limiter ? limiter.algorithm : false,
      ...(baselineMs !== undefined && { baselineMs: Math.round(baselineMs) }),
    };
  }

  dispose(): void {
    // Permits, and those who wait for one, belong to exchanges under way, and end with them.
  }

  #begin(): Live {
    const { clock, emit, upstream } = this.#deps;
    const limiter = this.#limiter();
    const limit = limiter ? limiter.current : this.#options.maxConcurrent;
    const onFull = (): void => emit('bulkhead-full', { upstream, limit: line.limit });
    const line = new PermitLine(limit, lineOptions(this.#options), { clock, onFull });
    return { line, limiter };
  }

  #takeOver(): void {
    this.#isSuccessor = false;
    const { adaptive, maxConcurrent } = this.#options;
    const live = this.#live;
    live.line.reconfigure(lineOptions(this.#options));
    if (adaptive === false) live.limiter = undefined;
    else if (live.limiter) live.limiter.reconfigure(adaptiveOptions(adaptive, maxConcurrent));
    else live.limiter = this.#limiter();
    live.line.limit = live.limiter ? live.limiter.current : maxConcurrent;
  }

  #limiter(): AdaptiveLimit | undefined {
    const { adaptive, maxConcurrent } = this.#options;
    if (adaptive === false) return undefined;
    const { emit, upstream } = this.#deps;
    const onMinimum = (): void => emit('bulkhead-at-minimum', { upstream, limit: limiter.current });
    const options = adaptiveOptions(adaptive, maxConcurrent);
    const limiter = new AdaptiveLimit(options, adaptive.initial, onMinimum);
    return limiter;
  }

  async #wait(exchange: Exchange, flow: string, cancellation: Cancellation): Promise<Admission> {
    const { clock, emit, upstream } = this.#deps;
    const { line } = this.#live;
    const since = clock.now();
    const rank = rankOf(exchange, this.#options.priority);
    let admission = await line.wait({ flow, rank, deadlineAt: exchange.deadlineAt, cancellation });
    if (admission.kind === 'go' && cancellation.cancelled) {
      // It left at the very moment at which its turn came.
      line.release(admission.permit);
      admission = { kind: 'left' };
    }
    const waitedMs = clock.now() - since;
    if (waitedMs > 0) emit('bulkhead-waited', { exchange, upstream, waitedMs, end: END_OF[admission.kind] });
    return admission;
  }

  #refuse(
    exchange: Exchange,
    { why, retryAfterMs }: Extract<Admission, { kind: 'refused' }>,
  ): RejectionOutcome {
    this.#deps.emit('bulkhead-refused', { exchange, upstream: this.#deps.upstream, why });
    return {
      kind: 'rejection',
      reason: 'concurrency_limit',
      by: this.name,
      verdict: verdictOf('refused'),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    };
  }

  #learn(attempts: readonly Attempt[]): void {
    if (!this.#live.limiter) return;
    for (const attempt of attempts) {
      const sample = sampleOf(attempt);
      if (sample) this.#observe(sample);
    }
  }

  #observe(sample: LoadSample): void {
    const { line, limiter } = this.#live;
    if (!limiter) return;
    limiter.observe(sample, this.#deps.clock.now());
    if (limiter.current !== line.limit) line.limit = limiter.current;
  }

  #releaseAfter(outcome: Outcome, permit: Permit): void {
    const { line } = this.#live;
    // An error has been made: no work is left, and a ladder may keep it unread for as long as it asks other upstreams.
    if (outcome.kind !== 'response' || outcome.verdict.class !== 'ok') return line.release(permit);
    outcome.body.onEnd(({ end }) => {
      const durationMs = this.#deps.clock.now() - permit.since;
      if (end === 'timed-out' && !outcome.tunnel)
        this.#observe({ startedAt: permit.since, durationMs, end: 'dropped' });
      line.release(permit);
    });
  }
}

const END_OF = { go: 'sent', refused: 'refused', left: 'left' } as const;

/** Failures by which an upstream shows that it does not keep up. */
const TIMEOUTS: ReadonlySet<Reason> = new Set<Reason>([
  'connection_timeout',
  'first_byte_timeout',
  'first_token_timeout',
  'write_timeout',
  'idle_timeout',
  'too_slow',
  'deadline_exceeded',
]);

/** What an attempt says about the load; undefined where that is nothing. */
function sampleOf({ startedAt, durationMs, verdict, reason, status }: Attempt): LoadSample | undefined {
  // A handshake is no work.
  if (durationMs === undefined || status === 101) return undefined;
  switch (verdict?.class) {
    case 'ok':
      return { startedAt, durationMs, end: 'ok' };
    case 'overloaded':
    case 'throttled':
      return { startedAt, durationMs, end: 'dropped' };
    case 'abandoned':
      return { startedAt, durationMs, end: 'abandoned' };
    default:
      return reason && TIMEOUTS.has(reason) ? { startedAt, durationMs, end: 'dropped' } : undefined;
  }
}

const lineOptions = ({ maxQueue, queueTimeout, order, priority }: BulkheadOptions): PermitLineOptions => ({
  maxQueue,
  queueTimeoutMs: queueTimeout,
  order,
  msPerRank: priority.ageing,
});

const adaptiveOptions = (
  { algorithm, min, backoffRatio, tolerance, latencyThreshold }: Exclude<BulkheadOptions['adaptive'], false>,
  max: number,
): AdaptiveOptions => ({
  ...{ algorithm, min, max, backoffRatio, tolerance },
  latencyThresholdMs: latencyThreshold,
});

export const bulkhead: PolicyModule<Exchange, typeof bulkheadSchema> = {
  name: 'bulkhead',
  key: 'bulkhead',
  schema: bulkheadSchema,
  onByDefault: false,
  build: (options, deps, previous) => new Bulkhead(options, deps, previous),
};
