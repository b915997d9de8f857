/**
 * Admits so many calls, or so many of a model's tokens, in a time; further ones wait a little or are refused. It stands
 * above everything that takes permits, slots or budget, so that a refused call takes none, and above retry, for it
 * counts calls and not tries.
 */
import { LimitLine } from '../algorithms/limit-line.ts';
import type { LimitAdmission, LimitLineOptions, LimitRefusal, Shortage } from '../algorithms/limit-line.ts';
import { rateLimitHeaders } from '../algorithms/rate-limit-answer.ts';
import { UsualAnswer, demandOf, tokensTaken } from '../algorithms/token-demand.ts';
import type { TokenDemand } from '../algorithms/token-demand.ts';
import { unlessCancelled } from '../core/cancellation.ts';
import { abandonedInLine } from '../core/abandoned.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Attempt, Exchange } from '../core/exchange.ts';
import type { Charge, Decision, Level, LimitStore } from '../core/limit-store.ts';
import { whenOver } from '../core/outcome.ts';
import type { Outcome, RejectionOutcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { verdictOf } from '../core/verdict.ts';
import { rankOf } from '../schema/priority.ts';
import { partOf, rateLimitSchema, rulesOf } from '../schema/rate-limits.ts';
import type { LimitRule, RateLimitOptions } from '../schema/rate-limits.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** A limit leaves no room, the first time in a minute or more. */
    'rate-limit-reached': { readonly upstream: string; readonly limit: string };
    /** A call has waited for room. */
    'rate-limit-waited': {
      readonly exchange: Exchange;
      readonly upstream: string;
      readonly waitedMs: number;
      /** `left`: the client did, or its time was up. */
      readonly end: 'sent' | 'refused' | 'left';
    };
    'rate-limited': {
      readonly exchange: Exchange;
      readonly upstream: string;
      /** The limit that keeps it longest. */
      readonly limit: string;
      readonly why: LimitRefusal;
    };
  }
}

/** Time without a call that lacked room after which the next one is news. */
const QUIET_MS = 60_000;

/** What an exchange takes, and what of that is an estimate. */
interface Claim {
  readonly charges: readonly Charge[];
  /** The rule of each charge. */
  readonly rules: readonly LimitRule[];
  readonly demand: TokenDemand;
}

/** What was taken, and where. */
interface Taken {
  readonly claim: Claim;
  readonly by: Decision['by'];
}

/** How a limit for the whole upstream stood when it was last asked. */
interface Reading {
  readonly remaining: number;
  readonly at: number;
}

export class RateLimit implements Policy<Exchange> {
  readonly name = 'rate-limit';
  readonly #options: RateLimitOptions;
  readonly #deps: PolicyDeps;
  readonly #rules: readonly LimitRule[];
  readonly #countsTokens: boolean;
  /** Buckets go by names that a reload does not change: who comes after it finds them as they are. */
  readonly #store: LimitStore;
  readonly #line: LimitLine;
  readonly #usual: UsualAnswer;
  readonly #readings = new Map<string, Reading>();
  #lastShortAt = Number.NEGATIVE_INFINITY;
  /** True until the first exchange after a reload: until then, the new configuration may yet be refused. */
  #isSuccessor: boolean;

  constructor(options: RateLimitOptions, deps: PolicyDeps, previous: Policy<Exchange> | undefined) {
    this.#options = options;
    this.#deps = deps;
    this.#rules = ('limits' in options ? options.limits : [options]).flatMap(rulesOf);
    this.#countsTokens = this.#rules.some(({ unit }) => unit === 'tokens');
    this.#store = deps.stores(options.shared).limits;
    const before = previous instanceof RateLimit ? previous : undefined;
    this.#isSuccessor = before !== undefined;
    this.#usual = before ? before.#usual : new UsualAnswer();
    this.#line = before ? before.#line : new LimitLine(this.#store, lineOptions(options), deps.clock);
    if (before) this.#lastShortAt = before.#lastShortAt;
  }

  async run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    if (this.#isSuccessor) this.#takeOver();
    // What a call takes stands in its body.
    if (this.#countsTokens && exchange.body.peek() === undefined)
      await unlessCancelled(exchange.body.whole(), cancellation);
    const claim = this.#claimOf(exchange);
    if (claim.charges.length === 0) return next(exchange, cancellation);
    const entered = this.#enter(exchange, claim, cancellation);
    const admission = entered instanceof Promise ? await entered : entered;
    this.#tellWait(exchange, claim, admission);
    if (admission.kind === 'left')
      return abandonedInLine(exchange, cancellation, 'while waiting for room within the rate limit');
    if (admission.kind === 'refused') return this.#refuse(exchange, claim, admission);
    this.#note(claim, admission.decision.levels);
    const outcome = await next(exchange, cancellation);
    this.#account(exchange, outcome, { claim, by: admission.decision.by });
    return outcome;
  }

  snapshot(): Snapshot {
    const now = this.#deps.clock.now();
    return {
      queued: this.#line.length,
      limits: this.#rules.map((rule) => ({
        limit: rule.name,
        amount: rule.amount,
        perMs: rule.perMs,
        burst: rule.size.burst,
        remaining: this.#remaining(rule, now),
      })),
    };
  }

  dispose(): void {
    // Those who wait belong to exchanges under way: they finish, and leave when they are cancelled.
  }

  #takeOver(): void {
    this.#isSuccessor = false;
    this.#line.reconfigure(this.#store, lineOptions(this.#options));
  }

  #claimOf(exchange: Exchange): Claim {
    const demand = this.#countsTokens ? demandOf(exchange, this.#usual) : NO_TOKENS;
    const all = this.#rules.map((rule) => ({ rule, charge: this.#chargeOf(rule, exchange, demand) }));
    const taking = all.filter(({ charge }) => charge.cost > 0);
    return { demand, charges: taking.map(({ charge }) => charge), rules: taking.map(({ rule }) => rule) };
  }

  #chargeOf(rule: LimitRule, exchange: Exchange, { prompt, answer }: TokenDemand): Charge {
    const { size, unit, name } = rule;
    // An estimate may be far too high, as for pictures: it empties a bucket at most, and the count at the end corrects it.
    const cost = unit === 'requests' ? 1 : Math.min(prompt + answer, size.burst);
    return { key: `${this.#deps.owner}/${name}${partOf(rule, exchange)}`, size, cost };
  }

  #enter(
    exchange: Exchange,
    { charges }: Claim,
    cancellation: Cancellation,
  ): LimitAdmission | Promise<LimitAdmission> {
    const rank = rankOf(exchange, this.#options.priority);
    return this.#line.enter({ charges, rank, deadlineAt: exchange.deadlineAt, cancellation });
  }

  #tellWait(exchange: Exchange, claim: Claim, { kind, waited }: LimitAdmission): void {
    if (!waited) return;
    const { emit, upstream } = this.#deps;
    this.#tellReached(claim, waited.shortage);
    emit('rate-limit-waited', { exchange, upstream, waitedMs: waited.ms, end: END_OF[kind] });
  }

  /** At a limit calls lack room all the time: once in a while is enough. */
  #tellReached({ rules }: Claim, { worst }: Shortage): void {
    const { emit, upstream, clock } = this.#deps;
    const now = clock.now();
    if (now - this.#lastShortAt >= QUIET_MS)
      emit('rate-limit-reached', { upstream, limit: rules[worst]?.name ?? '' });
    this.#lastShortAt = now;
  }

  #refuse(
    exchange: Exchange,
    claim: Claim,
    { why, shortage }: Extract<LimitAdmission, { kind: 'refused' }>,
  ): RejectionOutcome {
    const { emit, upstream } = this.#deps;
    this.#tellReached(claim, shortage);
    emit('rate-limited', { exchange, upstream, limit: claim.rules[shortage.worst]?.name ?? '', why });
    return {
      kind: 'rejection',
      reason: 'rate_limited',
      by: this.name,
      verdict: verdictOf('refused'),
      retryAfterMs: shortage.waitMs,
      headers: rateLimitHeaders(claim.rules, shortage.levels),
    };
  }

  /**
   * What was refused further down, or left while it waited there, took nothing, unless it had been sent before: then
   * only its next try was refused. Tokens are counted at the end of the answer.
   */
  #account(exchange: Exchange, outcome: Outcome, taken: Taken): void {
    const isGivenUp = outcome.kind === 'rejection' || outcome.verdict.class === 'abandoned';
    if (isGivenUp && triesOf(exchange).length === 0) this.#correct(taken, () => 0);
    else if (this.#countsTokens) whenOver(outcome, () => this.#reconcile(exchange, taken));
  }

  /** Puts what was counted in the place of what was estimated. */
  #reconcile(exchange: Exchange, taken: Taken): void {
    const own = triesOf(exchange);
    for (const { answer } of own) if (answer?.usage) this.#usual.learn(answer.usage);
    this.#correct(taken, ({ unit, size }, { cost }) => {
      if (unit === 'requests') return cost;
      // An estimate takes no more now than it could when it was reserved.
      const tokens = tokensTaken(own, taken.claim.demand, size.burst);
      return Number.isFinite(tokens) ? tokens : cost;
    });
  }

  /** @param costOf what a charge should have been */
  #correct({ claim, by }: Taken, costOf: (rule: LimitRule, charge: Charge) => number): void {
    const corrections = claim.charges.flatMap((charge, index) => {
      const rule = claim.rules[index];
      const cost = rule ? costOf(rule, charge) - charge.cost : 0;
      if (!rule || cost === 0) return [];
      const reading = this.#readings.get(rule.name);
      if (reading) this.#readings.set(rule.name, { ...reading, remaining: reading.remaining - cost });
      return [{ ...charge, cost }];
    });
    if (corrections.length === 0) return;
    this.#store.adjust(corrections, by);
    this.#line.review();
  }

  #note({ rules }: Claim, levels: readonly Level[]): void {
    const at = this.#deps.clock.now();
    rules.forEach(({ name, by }, index) => {
      const level = levels[index];
      if (by === 'upstream' && level) this.#readings.set(name, { remaining: level.remaining, at });
    });
  }

  /** What is left now if no other sidecar took anything since; null where there are many buckets. */
  #remaining({ name, by, size }: LimitRule, now: number): number | null {
    if (by !== 'upstream') return null;
    const reading = this.#readings.get(name);
    if (!reading) return size.burst;
    const back = ((now - reading.at) * size.ratePerSecond) / 1_000;
    return Math.floor(Math.min(size.burst, reading.remaining + back) + ROUNDING);
  }
}

/** A ladder's other attempts are those of other upstreams; what was withdrawn was none. */
const triesOf = (exchange: Exchange): Attempt[] =>
  exchange.attempts.filter((attempt) => attempt.exchange === exchange && !attempt.withdrawn);

/** Sums of fractions may fall short of a whole number by next to nothing. */
const ROUNDING = 1e-6;

const NO_TOKENS: TokenDemand = { prompt: 0, answer: 0 };

const END_OF = { go: 'sent', refused: 'refused', left: 'left' } as const;

const lineOptions = ({ maxQueue, maxWait, priority }: RateLimitOptions): LimitLineOptions => ({
  maxQueue,
  maxWaitMs: maxWait,
  msPerRank: priority.ageing,
});

export const rateLimit: PolicyModule<Exchange, typeof rateLimitSchema> = {
  name: 'rate-limit',
  key: 'rateLimit',
  schema: rateLimitSchema,
  onByDefault: false,
  build: (options, deps, previous) => new RateLimit(options, deps, previous),
};
