/**
 * Tries again where that can help and can do no harm. It stands outside hedging, breaker and endpoint selection, so
 * that every try passes them anew, and inside the deadline, so that no wait outlives the caller.
 */
import { z } from 'zod';
import { delays } from '../algorithms/backoff.ts';
import type { BackoffOptions, Delays } from '../algorithms/backoff.ts';
import { RetryBudget } from '../algorithms/retry-budget.ts';
import type { RetryBudgetOptions } from '../algorithms/retry-budget.ts';
import { abandoned } from '../core/abandoned.ts';
import type { Cancellation } from '../core/cancellation.ts';
import { sleep } from '../core/clock.ts';
import type { Exchange } from '../core/exchange.ts';
import { headerValue } from '../core/header-list.ts';
import { discard } from '../core/outcome.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Instants, PersistentState } from '../core/persistence.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import type { Random } from '../core/random.ts';
import { mayRepeat } from '../core/replay-safety.ts';
import { ANSWER_CLASSES } from '../core/verdict.ts';
import type { VerdictClass } from '../core/verdict.ts';
import { saveWindow, savedWindow, talliesOf } from '../schema/saved.ts';
import { count, duration, positiveDuration, ratio } from '../schema/scalars.ts';

/** Why a failure was not followed by another try. */
export type RetryRefusal =
  | 'exhausted'
  | 'not-replayable'
  | 'unsafe'
  | 'budget'
  | 'deadline'
  | 'max-elapsed'
  | 'retry-after'
  | 'spend'
  /** The upstream says that another try is of no use. */
  | 'declined';

declare module '../core/events.ts' {
  interface EventMap {
    'retry-scheduled': {
      readonly exchange: Exchange;
      readonly upstream: string;
      /** Class of the outcome that is tried again, or `stale-connection`. */
      readonly cause: VerdictClass | 'stale-connection';
      readonly delayMs: number;
    };
    'retry-refused': { readonly exchange: Exchange; readonly upstream: string; readonly why: RetryRefusal };
  }
}

const backoffSchema = z
  .strictObject({
    kind: z
      .enum(['exponential', 'constant'])
      .default('exponential')
      .describe('How delays grow. `constant` suits async work.'),
    initial: duration.prefault('250ms').describe('Delay before the first retry, before jitter.'),
    max: duration.prefault('8s').describe('No delay is longer, except where the upstream asks for it.'),
    multiplier: z.number().min(1).max(10).default(2).describe('Growth from one retry to the next.'),
    jitter: z
      .enum(['full', 'equal', 'decorrelated', 'proportional', 'none'])
      .default('full')
      .describe(
        'full: 0 to the delay; equal: half to all of it; decorrelated: grows from the delay before; proportional: up to jitterRatio longer.',
      ),
    jitterRatio: ratio.default(0.1).describe('Share that `proportional` adds at most.'),
  })
  .prefault({})
  .describe('Delays between attempts.');

const budgetSchema = z
  .union([
    z.literal(false),
    z.strictObject({
      ratio: ratio.default(0.2).describe('Retries per request over the window.'),
      floor: count.default(3).describe('Retries that every window allows whatever the traffic.'),
      window: positiveDuration.prefault('10s').describe('Length of the window.'),
    }),
  ])
  .prefault({})
  .describe('Bounds retries to a share of recent requests. `false`: no budget; an outage is then amplified.');

export const retrySchema = z
  .strictObject({
    maxRetries: count.max(20).default(2).describe('Attempts after the first.'),
    classes: z
      .array(z.enum(ANSWER_CLASSES).exclude(['ok']))
      .default(['transient', 'throttled', 'overloaded'])
      .describe('Classes of outcomes that are tried again.'),
    backoff: backoffSchema,
    budget: budgetSchema,
    maxElapsed: z
      .union([z.literal(false), positiveDuration])
      .prefault('60s')
      .describe('No retry starts later than this after the first attempt began.'),
    maxRetryAfter: duration
      .prefault('30s')
      .describe('An upstream that asks to wait longer gets no retry: the client is told at once.'),
  })
  .describe('Further attempts after failures that another attempt can mend.');

const savedSchema = z.object({ budget: savedWindow });

export type RetryOptions = z.output<typeof retrySchema>;

export class Retry implements Policy<Exchange> {
  readonly name = 'retry';
  readonly #options: RetryOptions;
  readonly #classes: ReadonlySet<VerdictClass>;
  readonly #backoff: BackoffOptions;
  readonly #deps: PolicyDeps;
  readonly #budget: RetryBudget | undefined;
  /** Of calls that are for one endpoint alone: who asks a dead one again and again takes no retry from anybody else. */
  readonly #pinnedBudget: RetryBudget | undefined;

  constructor(options: RetryOptions, deps: PolicyDeps, previous: Policy<Exchange> | undefined) {
    this.#options = options;
    this.#classes = new Set<VerdictClass>(options.classes);
    this.#backoff = backoffOf(options);
    this.#deps = deps;
    const before = previous instanceof Retry ? previous : undefined;
    this.#budget = budgetOf(options, before && before.#budget);
    this.#pinnedBudget = budgetOf(options, before && before.#pinnedBudget);
  }

  async run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    const budget = exchange.pinnedTo === undefined ? this.#budget : this.#pinnedBudget;
    const series = new Series(this.#deps.clock.now(), budget);
    if (this.#options.maxRetries > 0) exchange.ownsRetries = true;
    // A client's own retry is a retry like ours, whoever makes it: it earns nothing and takes its share.
    if (exchange.clientRetries > 0) budget?.spend(series.startedAt);
    else budget?.deposit(series.startedAt);
    for (;;) {
      const outcome = await next(exchange, cancellation);
      if (outcome.verdict.result === 'success' || !this.#isWorthRetrying(outcome)) return outcome;
      const plan = this.#plan(exchange, outcome, series);
      if (typeof plan === 'string') {
        this.#deps.emit('retry-refused', { exchange, upstream: this.#deps.upstream, why: plan });
        return outcome;
      }
      discard(outcome);
      const { delayMs, cause } = plan;
      this.#deps.emit('retry-scheduled', { exchange, upstream: this.#deps.upstream, cause, delayMs });
      if (delayMs > 0) await sleep(this.#deps.clock, delayMs, cancellation);
      if (cancellation.cancelled) return abandoned(cancellation, 'maybe', 'while waiting to retry');
      exchange.nextAttempt = { backoffMs: delayMs, freshConnection: isStale(outcome) };
    }
  }

  /** Retries that could be made right now; undefined without a budget. */
  get budgetRemaining(): number | undefined {
    return this.#budget?.remaining(this.#deps.clock.now());
  }

  snapshot(): Snapshot {
    return { maxRetries: this.#options.maxRetries, budgetRemaining: this.budgetRemaining ?? null };
  }

  capture(instants: Instants): PersistentState | undefined {
    const tallies = this.#budget?.tallies(this.#deps.clock.now()) ?? [];
    if (tallies.length === 0) return undefined;
    return { budget: saveWindow(this.#windowMs, tallies, instants) };
  }

  restore(saved: unknown, instants: Instants): boolean {
    const { data } = savedSchema.safeParse(saved);
    if (!data) return false;
    this.#budget?.take(talliesOf(data.budget, this.#windowMs, instants), this.#deps.clock.now());
    return true;
  }

  dispose(): void {
    // Waits belong to exchanges and end with them.
  }

  get #windowMs(): number {
    const { budget } = this.#options;
    return budget === false ? 0 : budget.window;
  }

  #isWorthRetrying(outcome: Outcome): boolean {
    if (goesElsewhere(outcome)) return true;
    // A refusal of ours means that the load must go away, unless it only repeats when the upstream wants it.
    if (outcome.kind === 'rejection' && outcome.verdict.retryAfterMs === undefined) return false;
    if (this.#classes.has(outcome.verdict.class)) return true;
    return upstreamsWish(outcome) === 'true' && !NEVER_BY_WISH.has(outcome.verdict.class);
  }

  /** What to do next, or why to do nothing. Takes from the budget only when everything else allows the retry. */
  #plan(exchange: Exchange, outcome: Outcome, series: Series): Plan | RetryRefusal {
    // What it says of this credential says nothing of another.
    if (!goesElsewhere(outcome) && upstreamsWish(outcome) === 'false') return 'declined';
    if (!exchange.body.replayable) return 'not-replayable';
    if (!isReplaySafe(exchange, outcome)) return 'unsafe';
    const exhausted = series.retries >= this.#options.maxRetries;
    // Not the upstream's failure: an idle connection closed as we reached for it. Costs no wait, once, and no retry
    // either, unless a repetition is paid for: what had been read after all must not add to what retries may cost.
    const paid = isStale(outcome) && exchange.call.repeat === 'compute';
    if (isStale(outcome) && !series.staleSeen && !(paid && exhausted)) {
      series.staleSeen = true;
      if (paid) series.retries += 1;
      return { cause: 'stale-connection', delayMs: 0 };
    }
    if (exhausted) return 'exhausted';
    return this.#planRetry(exchange, outcome, series);
  }

  #planRetry(exchange: Exchange, outcome: Outcome, series: Series): Plan | RetryRefusal {
    const { maxElapsed, maxRetryAfter } = this.#options;
    const now = this.#deps.clock.now();
    const elsewhere = goesElsewhere(outcome);
    const askedMs = elsewhere ? 0 : (outcome.verdict.retryAfterMs ?? 0);
    if (askedMs > maxRetryAfter) return 'retry-after';
    const delayMs = elsewhere ? 0 : Math.max(series.nextDelay(this.#backoff, this.#deps.random), askedMs);
    if (now + delayMs >= exchange.deadlineAt) return 'deadline';
    // From the first attempt on: what came before it was a wait for room.
    const first = exchange.attempts.find(({ startedAt }) => startedAt >= series.startedAt);
    const elapsed = now + delayMs - (first ?? series).startedAt;
    if (maxElapsed !== false && elapsed > maxElapsed) return 'max-elapsed';
    if (exchange.spend?.allows(exchange, { by: 'retry', upstream: exchange.upstream }) === false)
      return 'spend';
    if (series.budget && !series.budget.withdraw(now)) return 'budget';
    series.retries += 1;
    return { cause: outcome.verdict.class, delayMs };
  }
}

interface Plan {
  readonly cause: VerdictClass | 'stale-connection';
  readonly delayMs: number;
}

/** The tries of one exchange. */
class Series {
  readonly startedAt: number;
  readonly budget: RetryBudget | undefined;
  retries = 0;
  staleSeen = false;
  #delays: Delays | undefined;

  constructor(startedAt: number, budget: RetryBudget | undefined) {
    this.startedAt = startedAt;
    this.budget = budget;
  }

  nextDelay(backoff: BackoffOptions, random: Random): number {
    this.#delays ??= delays(backoff, random);
    return this.#delays();
  }
}

/** Classes that a wish for another try does not change: the same credential would meet the same refusal. */
const NEVER_BY_WISH: ReadonlySet<VerdictClass> = new Set(['quota', 'auth', 'abandoned']);

/**
 * `x-should-retry`, by which providers tell their SDKs whether another try can help. It concerns nothing but that: what
 * the answer says about the upstream's health stays.
 */
function upstreamsWish(outcome: Outcome): string | undefined {
  const head = outcome.kind === 'rejection' ? undefined : outcome.head;
  return head && headerValue(head.headers, 'x-should-retry')?.trim().toLowerCase();
}

const isStale = (outcome: Outcome): boolean => outcome.kind === 'failure' && outcome.staleConnection;

/** Turned away for its credential, and the next try carries another one: there is nothing to wait for. */
const goesElsewhere = (outcome: Outcome): boolean =>
  outcome.kind !== 'rejection' && outcome.otherCredential === true;

/** RFC 9110 §9.2.2 forbids a proxy to repeat a non-idempotent request, unless it knows that nothing was done. */
function isReplaySafe(exchange: Exchange, outcome: Outcome): boolean {
  return isUndone(outcome) || mayRepeat(exchange);
}

/** Nothing was done: it was not sent, or turned away at the door. */
function isUndone(outcome: Outcome): boolean {
  if (outcome.kind === 'rejection') return true;
  if (outcome.kind === 'failure') return outcome.requestSent === 'no';
  // For rate, load or credential, before any work began. Inside an answer, which is a failure, it may have begun.
  const { class: what } = outcome.verdict;
  return goesElsewhere(outcome) || what === 'throttled' || what === 'overloaded';
}

function backoffOf({ backoff }: RetryOptions): BackoffOptions {
  const { kind, initial, max, multiplier, jitter, jitterRatio } = backoff;
  return { kind, initialMs: initial, maxMs: max, multiplier, jitter, jitterRatio };
}

function budgetOf({ budget }: RetryOptions, previous: RetryBudget | undefined): RetryBudget | undefined {
  if (budget === false) return undefined;
  const options: RetryBudgetOptions = { ratio: budget.ratio, floor: budget.floor, windowMs: budget.window };
  return new RetryBudget(options, previous);
}

export const retry: PolicyModule<Exchange, typeof retrySchema> = {
  name: 'retry',
  key: 'retry',
  schema: retrySchema,
  onByDefault: true,
  build: (options, deps, previous) => new Retry(options, deps, previous),
};
