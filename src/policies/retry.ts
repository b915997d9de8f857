/**
 * Tries again where that can help and can do no harm. It stands outside hedging, breaker and endpoint selection, so
 * that every try passes them anew, and inside the deadline, so that no wait outlives the caller.
 */
import { z } from 'zod';
import { delays } from '../algorithms/backoff.ts';
import type { BackoffOptions, Delays } from '../algorithms/backoff.ts';
import { CallHealth } from '../algorithms/call-health.ts';
import { RetryBudget } from '../algorithms/retry-budget.ts';
import type { RetryBudgetOptions } from '../algorithms/retry-budget.ts';
import { abandoned } from '../core/abandoned.ts';
import type { Cancellation } from '../core/cancellation.ts';
import { sleep } from '../core/clock.ts';
import type { Exchange } from '../core/exchange.ts';
import { headerValue } from '../core/header-list.ts';
import { discard, finalVerdict } from '../core/outcome.ts';
import type { Completion, FailureOutcome, Outcome, ResponseOutcome } from '../core/outcome.ts';
import type { Instants, PersistentState } from '../core/persistence.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import type { Random } from '../core/random.ts';
import { REASONS } from '../core/reasons.ts';
import { mayRepeat } from '../core/replay-safety.ts';
import type { VerdictClass } from '../core/verdict.ts';
import { retrySchema } from '../schema/retry.ts';
import type { RetryOptions } from '../schema/retry.ts';
import { saveWindow, savedWindow, talliesOf } from '../schema/saved.ts';

/** Why a failure was not followed by another try. */
export type RetryRefusal =
  | 'exhausted'
  /** Fewer are made while the upstream does badly. */
  | 'unhealthy'
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

const savedSchema = z.object({ budget: savedWindow, health: savedWindow.optional() });

/** However badly the upstream does, delays grow to no more than this many times their length. */
const MAX_STRETCH = 10;

export class Retry implements Policy<Exchange> {
  readonly name = 'retry';
  readonly #options: RetryOptions;
  readonly #classes: ReadonlySet<VerdictClass>;
  readonly #backoff: BackoffOptions;
  readonly #deps: PolicyDeps;
  readonly #budget: RetryBudget | undefined;
  readonly #health: CallHealth | undefined;
  /** Of calls that are for one endpoint alone: who asks a dead one again and again takes no retry from anybody else. */
  readonly #pinnedBudget: RetryBudget | undefined;

  constructor(options: RetryOptions, deps: PolicyDeps, previous: Policy<Exchange> | undefined) {
    this.#options = options;
    this.#classes = new Set<VerdictClass>(options.classes);
    this.#backoff = backoffOf(options);
    this.#deps = deps;
    const before = previous instanceof Retry ? previous : undefined;
    this.#budget = budgetOf(options, before && before.#budget);
    this.#health = healthOf(options, before && before.#health);
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
      if (this.#health) this.#learn(this.#health, exchange, outcome);
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

  /** 0 to 1, how well the upstream does; undefined without feedback. */
  get health(): number | undefined {
    return this.#health?.score(this.#deps.clock.now());
  }

  snapshot(): Snapshot {
    const { budgetRemaining = null, health = null } = this;
    return { maxRetries: this.#options.maxRetries, budgetRemaining, health };
  }

  capture(instants: Instants): PersistentState | undefined {
    const now = this.#deps.clock.now();
    const budget = this.#budget?.tallies(now) ?? [];
    const health = this.#health?.tallies(now) ?? [];
    if (budget.length === 0 && health.length === 0) return undefined;
    return {
      budget: saveWindow(windowOf(this.#options.budget), budget, instants),
      health: saveWindow(windowOf(this.#options.feedback), health, instants),
    };
  }

  restore(saved: unknown, instants: Instants): boolean {
    const { data } = savedSchema.safeParse(saved);
    if (!data) return false;
    const { budget, feedback } = this.#options;
    const now = this.#deps.clock.now();
    this.#budget?.take(talliesOf(data.budget, windowOf(budget), instants), now);
    if (data.health) this.#health?.take(talliesOf(data.health, windowOf(feedback), instants), now);
    return true;
  }

  dispose(): void {
    // Waits belong to exchanges and end with them.
  }

  /** Keeps what a try says of the upstream: a failure and a tunnel at once, the rest when its body has ended. */
  #learn(health: CallHealth, exchange: Exchange, outcome: Outcome): void {
    if (outcome.kind === 'rejection' || exchange.pinnedTo !== undefined || isStale(outcome)) return;
    const attempt = exchange.attempts[(outcome.attempt ?? 0) - 1];
    const ended = (completion?: Completion): void => {
      const { result } = finalVerdict(outcome, completion);
      if (result === 'neutral' || attempt?.endpointsFault) return;
      const call = { failed: result === 'failure', timedOut: isTimeout(outcome, completion) };
      health.record({ ...call, latencyMs: attempt?.durationMs }, this.#deps.clock.now());
    };
    const promises = outcome.kind === 'response' && outcome.verdict.result !== 'failure' && !outcome.tunnel;
    if (promises) outcome.body.onEnd(ended);
    else ended();
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
    const most = this.#options.maxRetries;
    const exhausted = series.retries >= most;
    // Not the upstream's failure: an idle connection closed as we reached for it. Costs no wait, once, and no retry
    // either, unless a repetition is paid for: what had been read after all must not add to what retries may cost.
    const paid = isStale(outcome) && exchange.call.repeat === 'compute';
    if (isStale(outcome) && !series.staleSeen && !(paid && exhausted)) {
      series.staleSeen = true;
      if (paid) series.retries += 1;
      return { cause: 'stale-connection', delayMs: 0 };
    }
    if (exhausted) return 'exhausted';
    if (!goesElsewhere(outcome) && series.retries >= Math.round(most * (this.health ?? 1)))
      return 'unhealthy';
    return this.#planRetry(exchange, outcome, series);
  }

  #planRetry(exchange: Exchange, outcome: Outcome, series: Series): Plan | RetryRefusal {
    const { maxElapsed, maxRetryAfter } = this.#options;
    const now = this.#deps.clock.now();
    const elsewhere = goesElsewhere(outcome);
    const askedMs = elsewhere ? 0 : (outcome.verdict.retryAfterMs ?? 0);
    if (askedMs > maxRetryAfter) return 'retry-after';
    const delayMs = elsewhere ? 0 : Math.max(this.#nextDelay(series), askedMs);
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

  /** The worse the upstream does, the longer. */
  #nextDelay(series: Series): number {
    const delayMs = series.nextDelay(this.#backoff, this.#deps.random);
    if (!this.#health) return delayMs;
    const stretched = delayMs / Math.max(this.#health.score(this.#deps.clock.now()), 1 / MAX_STRETCH);
    return Math.min(stretched, Math.max(delayMs, this.#backoff.maxMs));
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

/** One of our timers, or the upstream's, ran out. */
function isTimeout(outcome: ResponseOutcome | FailureOutcome, completion: Completion | undefined): boolean {
  if (completion) return completion.end === 'timed-out';
  return outcome.kind === 'failure' && REASONS[outcome.reason].status === 504;
}

const windowOf = (section: false | { readonly window: number }): number =>
  section === false ? 0 : section.window;

function healthOf({ feedback }: RetryOptions, previous: CallHealth | undefined): CallHealth | undefined {
  if (feedback === false) return undefined;
  const { window: windowMs, minimumCalls, errorRatio, latency, timeouts, weights } = feedback;
  const full = { errorRatio, latencyMs: latency, timeouts };
  return new CallHealth({ windowMs, minimumCalls, full, weights }, previous);
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
