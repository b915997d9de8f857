/**
 * Keeps a share of the calls back while the upstream turns most of them away for overload: refusing costs it work, too.
 * It stands inside retry, so that every try counts and a refusal ends retrying; inside pacing, so that a wait for a rate
 * limit is over before the dice are cast; and outside the breaker, for it bends where that breaks.
 */
import { z } from 'zod';
import { AcceptRatio } from '../algorithms/accept-ratio.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Outcome, RejectionOutcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { ANSWER_CLASSES, verdictOf } from '../core/verdict.ts';
import type { VerdictClass } from '../core/verdict.ts';
import { positiveCount, positiveDuration } from '../schema/scalars.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** A call is kept back, the first in a minute or more. */
    'throttling-began': {
      readonly upstream: string;
      /** Of how many calls, over the window. */
      readonly requests: number;
      /** So many were taken on. */
      readonly accepts: number;
    };
    'throttling-refused': {
      readonly exchange: Exchange;
      readonly upstream: string;
      /** Share of calls that is kept back, from 0 to 1. */
      readonly probability: number;
    };
  }
}

export const adaptiveThrottlingSchema = z
  .strictObject({
    multiplier: z
      .number()
      .min(1)
      .max(100)
      .default(2)
      .describe('Calls to send for each one that is taken on. 2: up to half of them may be turned away.'),
    minimumRequests: positiveCount.default(20).describe('Calls in the window below which none is kept back.'),
    window: positiveDuration.prefault('2m').describe('Length of the window.'),
    classes: z
      .array(z.enum(ANSWER_CLASSES).exclude(['ok']))
      .min(1)
      .default(['overloaded'])
      .describe('Classes of outcomes that count as turned away for overload; all others count as taken on.'),
  })
  .describe('Keeps a share of the calls back while the upstream turns most of them away for overload.');

export type AdaptiveThrottlingOptions = z.output<typeof adaptiveThrottlingSchema>;

/** Time without a refusal after which the next is news. */
const QUIET_MS = 60_000;
/** A client comes through after 1 / (1 - probability) tries on average; each is given so long. */
const MS_PER_TRY = 1_000;
const LONGEST_WAIT_MS = 30_000;

/** Nobody below has asked the upstream, or nobody waited for its answer. */
const SAYS_NOTHING: ReadonlySet<VerdictClass> = new Set<VerdictClass>(['refused', 'abandoned']);

export class AdaptiveThrottling implements Policy<Exchange> {
  readonly name = 'adaptive-throttling';
  readonly #deps: PolicyDeps;
  readonly #turnedAway: ReadonlySet<VerdictClass>;
  readonly #ratio: AcceptRatio;
  #lastRefusalAt = Number.NEGATIVE_INFINITY;

  constructor(options: AdaptiveThrottlingOptions, deps: PolicyDeps, previous: Policy<Exchange> | undefined) {
    const { multiplier, minimumRequests, window, classes } = options;
    const before = previous instanceof AdaptiveThrottling ? previous : undefined;
    this.#deps = deps;
    this.#turnedAway = new Set(classes);
    const ratio = { multiplier, minimumRequests, windowMs: window };
    this.#ratio = new AcceptRatio(ratio, before ? before.#ratio : undefined);
    if (before) this.#lastRefusalAt = before.#lastRefusalAt;
  }

  async run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    const { clock, random } = this.#deps;
    const probability = this.#ratio.rejectionProbability(clock.now());
    // A spare is for an upstream that is well; that it is not made is no refusal of a call.
    if (probability > 0 && exchange.nextAttempt.spare) return this.#refusal(probability);
    if (probability > 0 && random.next() < probability) return this.#refuse(exchange, probability);
    const outcome = await next(exchange, cancellation);
    // One endpoint that turns calls away, chosen by a client, says nothing of the others.
    if (exchange.pinnedTo === undefined) this.#learn(outcome);
    return outcome;
  }

  snapshot(): Snapshot {
    const now = this.#deps.clock.now();
    return { probability: this.#ratio.rejectionProbability(now), ...this.#ratio.counts(now) };
  }

  dispose(): void {
    // Nothing is held.
  }

  /** Counted at the end: what is under way for minutes has not been turned away. */
  #learn({ kind, verdict }: Outcome): void {
    if (kind === 'rejection' || SAYS_NOTHING.has(verdict.class)) return;
    const now = this.#deps.clock.now();
    if (this.#turnedAway.has(verdict.class)) this.#ratio.refused(now);
    else this.#ratio.accepted(now);
  }

  #refuse(exchange: Exchange, probability: number): RejectionOutcome {
    const { clock, emit, upstream } = this.#deps;
    const now = clock.now();
    if (now - this.#lastRefusalAt >= QUIET_MS)
      emit('throttling-began', { upstream, ...this.#ratio.counts(now) });
    this.#lastRefusalAt = now;
    this.#ratio.refused(now);
    emit('throttling-refused', { exchange, upstream, probability });
    return this.#refusal(probability);
  }

  #refusal(probability: number): RejectionOutcome {
    const longest = Math.min(LONGEST_WAIT_MS, MS_PER_TRY / (1 - probability));
    return {
      kind: 'rejection',
      reason: 'load_shed',
      by: this.name,
      verdict: verdictOf('refused'),
      // Those who are told at the same time must not come back at the same time.
      retryAfterMs: (longest * (1 + this.#deps.random.next())) / 2,
    };
  }
}

export const adaptiveThrottling: PolicyModule<Exchange, typeof adaptiveThrottlingSchema> = {
  name: 'adaptive-throttling',
  key: 'adaptiveThrottling',
  schema: adaptiveThrottlingSchema,
  onByDefault: false,
  build: (options, deps, previous) => new AdaptiveThrottling(options, deps, previous),
};
