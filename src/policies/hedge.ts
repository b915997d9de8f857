/**
 * Begins a spare attempt beside one that takes long, and takes the answer of whichever is the first to bring a good one.
 * It stands inside retry, which sees the two as one try, and outside pacing and breaker, so that a spare passes them as
 * every attempt does.
 */
import { z } from 'zod';
import { LearntDuration } from '../algorithms/learnt-duration.ts';
import { Race } from '../algorithms/race.ts';
import { RetryBudget } from '../algorithms/retry-budget.ts';
import { Cancellation } from '../core/cancellation.ts';
import type { TimerHandle } from '../core/clock.ts';
import type { Attempt, Exchange } from '../core/exchange.ts';
import { hasHeader } from '../core/header-list.ts';
import { whenOver } from '../core/outcome.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import type { Reason } from '../core/reasons.ts';
import { mayRunTwice } from '../core/replay-safety.ts';
import type { VerdictClass } from '../core/verdict.ts';
import { learntDurationOf, learntSchema } from '../schema/learnt.ts';
import { count, positiveCount, positiveDuration, ratio } from '../schema/scalars.ts';

/** Why a slow attempt got no spare: ours to say, or the reason with which a policy below refused it. */
export type HedgeRefusal = 'not-replayable' | 'unsafe' | 'session' | 'deadline' | 'spend' | 'budget' | Reason;

declare module '../core/events.ts' {
  interface EventMap {
    /** A spare attempt has begun. */
    'hedge-fired': {
      readonly exchange: Exchange;
      readonly upstream: string;
      readonly attempt: Attempt;
      /** How long the attempt before it had been under way. */
      readonly afterMs: number;
    };
    /** Of attempts that ran side by side one brought a good answer; the others are given up. */
    'hedge-won': {
      readonly exchange: Exchange;
      readonly upstream: string;
      readonly by: 'first' | 'spare';
      readonly attempt: Attempt;
    };
    /** An attempt takes long, but gets no spare. */
    'hedge-refused': { readonly exchange: Exchange; readonly upstream: string; readonly why: HedgeRefusal };
  }
}

const budgetSchema = z
  .strictObject({
    ratio: ratio.default(0.1).describe('Spares per request over the window.'),
    floor: count.default(1).describe('Spares that every window allows whatever the traffic.'),
    window: positiveDuration.prefault('10s').describe('Length of the window.'),
  })
  .prefault({})
  .describe('Bounds spares to a share of recent requests.');

export const hedgeSchema = z
  .strictObject({
    after: z
      .union([
        positiveDuration,
        learntSchema('the time from the start of a first attempt to its answer', {
          min: '50ms',
          max: '10s',
          factor: 1,
        }),
      ])
      .prefault({})
      .describe(
        'Time after which an attempt is slow: fixed, or learnt. While it is learnt there are no spares.',
      ),
    maxSpares: positiveCount
      .max(5)
      .default(1)
      .describe('Spares of one try. Each begins when the one before has been under way so long.'),
    budget: budgetSchema,
  })
  .describe('A spare attempt beside one that takes long; the first good answer counts.');

export type HedgeOptions = z.output<typeof hedgeSchema>;

export class Hedge implements Policy<Exchange> {
  readonly name = 'hedge';
  readonly options: HedgeOptions;
  readonly deps: PolicyDeps;
  readonly #budget: RetryBudget;
  readonly #learnt: LearntDuration | undefined;

  constructor(options: HedgeOptions, deps: PolicyDeps, previous: Policy<Exchange> | undefined) {
    this.options = options;
    this.deps = deps;
    const before = previous instanceof Hedge ? previous : undefined;
    const { ratio, floor, window } = options.budget;
    this.#budget = new RetryBudget({ ratio, floor, windowMs: window }, before ? before.#budget : undefined);
    if (typeof options.after !== 'number')
      this.#learnt = new LearntDuration(learntDurationOf(options.after), before ? before.#learnt : undefined);
  }

  run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    // Of one request, however often it is tried.
    if (!exchange.attempts.some((attempt) => attempt.exchange === exchange))
      this.#budget.deposit(this.deps.clock.now());
    // Two switches of protocols are two connections; and a spare at the same endpoint would only be its second call.
    if (exchange.request.upgrade !== undefined || exchange.pinnedTo !== undefined)
      return next(exchange, cancellation);
    return new Heat(this, exchange, next, cancellation).run();
  }

  /** Milliseconds after which an attempt is slow; undefined while that is not known. */
  get delayMs(): number | undefined {
    const { after } = this.options;
    return typeof after === 'number' ? after : this.#learnt?.ms(this.deps.clock.now());
  }

  /** The first attempt of a try has an outcome, good or not. */
  observe(attempt: Attempt, good: boolean): void {
    const now = this.deps.clock.now();
    this.#learnt?.observe(now - attempt.startedAt, good, now);
  }

  /** Why there is to be no spare; undefined when there may be one, which then has been taken from the budget. */
  refusal(exchange: Exchange, delayMs: number): HedgeRefusal | undefined {
    const { upstream, request } = exchange;
    const { sessionHeader } = upstream.dialect;
    const now = this.deps.clock.now();
    if (!exchange.body.replayable) return 'not-replayable';
    // It lives at one endpoint, which would get the same twice, by the same name.
    if (sessionHeader !== undefined && hasHeader(request.headers, sessionHeader)) return 'session';
    if (!mayRunTwice(exchange)) return 'unsafe';
    // What is left would be slow even for an answer as fast as most.
    if (now + delayMs >= exchange.deadlineAt) return 'deadline';
    if (exchange.spend?.allows(exchange, { by: 'hedge', upstream }) === false) return 'spend';
    return this.#budget.withdraw(now) ? undefined : 'budget';
  }

  /** A spare that was taken from the budget came to nothing: a policy below refused it. */
  giveBack(takenAt: number): void {
    this.#budget.giveBack(takenAt, this.deps.clock.now());
  }

  snapshot(): Snapshot {
    const now = this.deps.clock.now();
    const delayMs = this.delayMs;
    return {
      delayMs: delayMs === undefined ? null : Math.round(delayMs * 10) / 10,
      samples: this.#learnt?.samples(now) ?? null,
      budgetRemaining: this.#budget.remaining(now),
    };
  }

  dispose(): void {
    // Timers and spares belong to exchanges and end with them.
  }
}

interface Runner {
  readonly spare: boolean;
  /** When it was entered; a spare was taken from the budget then. */
  readonly enteredAt: number;
  readonly cancellation: Cancellation;
  /** Undefined while it waits below, and for ever where it was refused there. */
  attempt: Attempt | undefined;
}

/** One try: its first attempt and the spares beside it. */
class Heat {
  readonly #policy: Hedge;
  readonly #exchange: Exchange;
  readonly #next: Next<Exchange>;
  readonly #cancellation: Cancellation;
  readonly #race: Race<Runner>;
  #timer: TimerHandle | undefined;
  /** When the newest of its attempts began. */
  #begunAt = 0;
  /** Spares that have begun. */
  #spares = 0;

  constructor(policy: Hedge, exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation) {
    this.#policy = policy;
    this.#exchange = exchange;
    this.#next = next;
    this.#cancellation = cancellation;
    this.#race = new Race<Runner>({
      isGood,
      rank: (outcome) => rankOf(outcome, cancellation.cancelled),
      giveUp,
      onOutcome: (runner, outcome) => this.#noteOutcome(runner, outcome),
      onWon: (runner) => this.#noteWinner(runner),
    });
  }

  async run(): Promise<Outcome> {
    this.#enter(false, this.#cancellation);
    const outcome = await this.#race.outcome;
    this.#stopTimer();
    return outcome;
  }

  #enter(spare: boolean, cancellation: Cancellation): void {
    const enteredAt = this.#policy.deps.clock.now();
    const runner: Runner = { spare, enteredAt, cancellation, attempt: undefined };
    const begun = (attempt: Attempt): void => this.#noteBegin(runner, attempt);
    this.#exchange.nextAttempt = runner.spare
      ? { backoffMs: 0, freshConnection: false, spare: true, begun }
      : { ...this.#exchange.nextAttempt, spare: false, begun };
    this.#race.enter(runner, this.#next(this.#exchange, runner.cancellation));
  }

  /** Time counts from here, not from before: a wait for room is no slowness of the upstream. */
  #noteBegin(runner: Runner, attempt: Attempt): void {
    if (this.#race.over || runner.attempt) return;
    runner.attempt = attempt;
    if (runner.spare) this.#noteSpare(attempt);
    this.#begunAt = attempt.startedAt;
    const { delayMs, options } = this.#policy;
    if (delayMs !== undefined && this.#spares < options.maxSpares) this.#fireAfter(delayMs);
  }

  #fireAfter(delayMs: number): void {
    this.#timer = this.#policy.deps.clock.setTimer(delayMs, () => this.#fire(delayMs));
  }

  #noteSpare(attempt: Attempt): void {
    this.#spares += 1;
    const { upstream, emit } = this.#policy.deps;
    const afterMs = attempt.startedAt - this.#begunAt;
    emit('hedge-fired', { exchange: this.#exchange, upstream, attempt, afterMs });
  }

  #fire(delayMs: number): void {
    this.#timer = undefined;
    if (this.#race.over || this.#cancellation.cancelled) return;
    const { replayable, shareable } = this.#exchange.body;
    // It is still being sent: the upstream has not been asked yet.
    if (replayable && !shareable) return this.#fireAfter(delayMs);
    const why = this.#policy.refusal(this.#exchange, delayMs);
    if (why) this.#refused(why);
    else this.#enter(true, new Cancellation(this.#cancellation));
  }

  #refused(why: HedgeRefusal): void {
    const { emit, upstream } = this.#policy.deps;
    emit('hedge-refused', { exchange: this.#exchange, upstream, why });
  }

  #noteOutcome(runner: Runner, outcome: Outcome): void {
    const { spare, cancellation, attempt } = runner;
    if (spare) whenOver(outcome, () => cancellation.detach());
    if (outcome.kind !== 'rejection') {
      // Spares are not what the delay is about: it is to let through a known share of first attempts.
      if (attempt && !spare) this.#policy.observe(attempt, outcome.verdict.result === 'success');
      return;
    }
    if (!spare) return;
    this.#policy.giveBack(runner.enteredAt);
    if (attempt) this.#spares -= 1;
    this.#stopTimer();
    if (!this.#race.over) this.#refused(outcome.reason);
  }

  #noteWinner({ spare, attempt }: Runner): void {
    // Without a spare there was no race.
    if (!attempt || this.#spares === 0) return;
    const { emit, upstream } = this.#policy.deps;
    emit('hedge-won', { exchange: this.#exchange, upstream, by: spare ? 'spare' : 'first', attempt });
  }

  #stopTimer(): void {
    if (this.#timer) this.#policy.deps.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }
}

/** Only those run beside each other who have begun; a first attempt that lost needs no cancellation of its own for that. */
function giveUp({ spare, cancellation, attempt }: Runner): void {
  if (spare) cancellation.cancel('superseded');
  else attempt?.cancellation.cancel('superseded');
}

/** Classes of answers that a second one would only repeat. */
const FINAL: ReadonlySet<VerdictClass> = new Set<VerdictClass>([
  'permanent',
  'context_length',
  'content_filter',
]);

/** What the upstream may say of the second because it is busy with the first. */
const CONFLICT = 409;

function isGood(outcome: Outcome): boolean {
  const { verdict } = outcome;
  if (verdict.result === 'success') return true;
  if (outcome.kind === 'rejection' || isConflict(outcome)) return false;
  return verdict.result === 'neutral' && FINAL.has(verdict.class);
}

const isConflict = (outcome: Outcome): boolean =>
  outcome.kind === 'response' && outcome.head.status === CONFLICT;

/** How much it tells of what became of the call: an answer more than none, and that least which was never sent. */
function rankOf(outcome: Outcome, cancelled: boolean): number {
  switch (outcome.kind) {
    case 'response':
      // What was held until now has been cut off with everything else.
      if (cancelled) return 0;
      return isConflict(outcome) ? 3 : 4;
    case 'failure':
      return outcome.requestSent === 'maybe' ? 2 : 1;
    case 'rejection':
      return 0;
  }
}

export const hedge: PolicyModule<Exchange, typeof hedgeSchema> = {
  name: 'hedge',
  key: 'hedge',
  schema: hedgeSchema,
  onByDefault: false,
  build: (options, deps, previous) => new Hedge(options, deps, previous),
};
