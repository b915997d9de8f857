/**
 * One instant by which the whole exchange must have its answer: queueing, backoff and all attempts included. It stands
 * outside everything but the fallback ladder, which may still answer when the time is up.
 */
import { z } from 'zod';
import { Cancellation } from '../core/cancellation.ts';
import type { Exchange } from '../core/exchange.ts';
import { whenOver } from '../core/outcome.ts';
import type { FailureOutcome, Outcome, RejectionOutcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { verdictOf } from '../core/verdict.ts';
import { positiveDuration } from '../schema/scalars.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** The total time of an exchange was used up. */
    'deadline-exceeded': { readonly exchange: Exchange; readonly upstream: string; readonly afterMs: number };
  }
}

export const deadlineSchema = z
  .strictObject({
    after: z
      .union([z.literal(false), positiveDuration])
      .prefault('10m')
      .describe('Total time for an exchange. `false`: only the caller’s own bound counts.'),
    callerHint: z
      .boolean()
      .default(true)
      .describe(
        'Take a smaller bound from the caller: X-Request-Timeout-Ms, X-Stainless-Timeout, X-Server-Timeout, grpc-timeout, X-Envoy-Upstream-Rq-Timeout-Ms.',
      ),
  })
  .describe(
    'Total bound over queueing, backoff and all attempts. A stream that has begun is not bound by it.',
  );

export type DeadlineOptions = z.output<typeof deadlineSchema>;

interface Bound {
  /** Monotonic instant, or Infinity. */
  readonly at: number;
  /** Whose bound it is: the operator's, or the caller's own. */
  readonly reason: 'deadline' | 'caller-deadline';
}

class Deadline implements Policy<Exchange> {
  readonly name = 'deadline';
  readonly #options: DeadlineOptions;
  readonly #deps: PolicyDeps;

  constructor(options: DeadlineOptions, deps: PolicyDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    const { clock } = this.#deps;
    const now = clock.now();
    const { at, reason } = this.#bound(exchange, now);
    if (at === Number.POSITIVE_INFINITY) return next(exchange, cancellation);
    exchange.deadlineAt = at;
    if (at <= now) return this.#tooLate(exchange, now);
    const bounded = new Cancellation(cancellation);
    let answer: Outcome | undefined = undefined;
    const timer = clock.setTimer(at - now, () => {
      if (answer && hasAllArrived(exchange, answer)) return;
      this.#emit(exchange, clock.now());
      bounded.cancel(reason);
    });
    const outcome = await next(exchange, bounded);
    answer = outcome;
    if (!this.#stillBounds(exchange, outcome)) clock.clearTimer(timer);
    whenOver(outcome, () => {
      clock.clearTimer(timer);
      bounded.detach();
    });
    return outcome.kind !== 'response' && bounded.reason === reason ? exceeded(outcome) : outcome;
  }

  snapshot(): Snapshot {
    return { afterMs: this.#options.after, callerHint: this.#options.callerHint };
  }

  dispose(): void {
    // Timers belong to exchanges and end with them.
  }

  #bound(exchange: Exchange, now: number): Bound {
    const { after, callerHint } = this.#options;
    const own = after === false ? Number.POSITIVE_INFINITY : now + after;
    const hintMs = (callerHint ? exchange.callerTimeoutMs : undefined) ?? Number.POSITIVE_INFINITY;
    // The caller counts from when it sent the request, whichever upstream is asked in the end.
    const callers = exchange.startedAt + hintMs;
    return callers < own ? { at: callers, reason: 'caller-deadline' } : { at: own, reason: 'deadline' };
  }

  /** A body that has a length of its own must come in time, too; a stream that has begun may go on. */
  #stillBounds(exchange: Exchange, outcome: Outcome): boolean {
    return (
      outcome.kind === 'response' &&
      !outcome.tunnel &&
      !exchange.upstream.dialect.isStream(outcome.head, exchange.call)
    );
  }

  #tooLate(exchange: Exchange, now: number): RejectionOutcome {
    this.#emit(exchange, now);
    return { kind: 'rejection', reason: 'deadline_exceeded', by: this.name, verdict: verdictOf('refused') };
  }

  #emit(exchange: Exchange, now: number): void {
    const { emit, upstream } = this.#deps;
    emit('deadline-exceeded', { exchange, upstream, afterMs: now - exchange.startedAt });
  }
}

/** The upstream was in time: what it sent waits for a ladder, or for a client that reads slowly. */
const hasAllArrived = ({ attempts }: Exchange, outcome: Outcome): boolean =>
  outcome.kind === 'response' &&
  outcome.attempt !== undefined &&
  attempts[outcome.attempt - 1]?.phase === 'ended';

/** Whatever was under way when the time was up: that is why it ended. */
function exceeded(outcome: FailureOutcome | RejectionOutcome): FailureOutcome {
  return {
    kind: 'failure',
    reason: 'deadline_exceeded',
    requestSent: outcome.kind === 'failure' ? outcome.requestSent : 'maybe',
    staleConnection: false,
    verdict: verdictOf('transient'),
    ...(outcome.kind === 'failure' && outcome.attempt !== undefined && { attempt: outcome.attempt }),
    detail: outcome.reason === 'deadline_exceeded' ? '' : `last: ${outcome.reason}`,
  };
}

export const deadline: PolicyModule<Exchange, typeof deadlineSchema> = {
  name: 'deadline',
  key: 'deadline',
  schema: deadlineSchema,
  onByDefault: true,
  build: (options, deps) => new Deadline(options, deps),
};
