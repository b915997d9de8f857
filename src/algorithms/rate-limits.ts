/**
 * What is known of one credential's rate limits: what its provider said last, minus what was sent since. It answers one
 * question: when may a call go without being turned away?
 */
import { DIMENSIONS } from './rate-limit-headers.ts';
import type { Dimension, LimitReading, RateLimitReading } from './rate-limit-headers.ts';

/** What a call will be counted as. Tokens are estimates; the provider's next word puts them right. */
export interface Demand {
  /** Tokens of the prompt. */
  readonly input: number;
  /** Tokens of the answer at most, as far as known. */
  readonly output: number;
}

/** A call that was sent and has no answer yet. */
export interface Sent {
  readonly demand: Demand;
  readonly startedAt: number;
}

/** What stands in the way. */
export type Obstacle = Dimension | 'throttled';

export interface Turn {
  /**
   * Monotonic instant at which the call may go, as far as is known now; not after now: at once. Infinity: not before one
   * of those under way has its answer.
   */
  readonly at: number;
  readonly obstacle: Obstacle | undefined;
  /** Everything comes back at that instant, so that many could go at once. */
  readonly sudden: boolean;
}

export interface LimitState {
  readonly dimension: Dimension;
  readonly limit: number | undefined;
  /** What is left now, with what is under way taken off. */
  readonly remaining: number;
}

/** What of one credential's limits outlives the process; instants are monotonic. What is under way does not. */
export interface LimitsMemory {
  /** -Infinity: no pause. */
  readonly pausedUntil: number;
  readonly heardAt: number;
  readonly turnedAway: number;
  /** Its credential was not accepted. */
  readonly disowned: boolean;
  readonly windows: readonly {
    readonly dimension: Dimension;
    readonly limit: number | null;
    readonly remaining: number;
    readonly refilling: boolean;
    readonly heardAt: number;
    readonly resetAt: number;
  }[];
}

/** Two calls that began so close together may have been counted in either order. */
const DISORDER_MS = 1_000;
/** Rounding of resets to whole seconds, at both ends. */
const ROUNDING_MS = 2_000;
/** Of sums of fractions. */
const ROUNDING = 1e-6;
/** Share of a limit of tokens that one call is taken to need at most. */
const MOST_OF_TOKENS = 0.5;
/** How long news without a reset count. */
const RESET_UNKNOWN_MS = 10_000;
/** After so long without a word, one call may go and ask, whatever was said. */
const SILENCE_MS = 60_000;
/** As many calls in a row that were turned away although there should have been room: it does not come back bit by bit. */
const REFUTED_AFTER = 2;

interface Window {
  readonly limit: number | undefined;
  readonly remaining: number;
  /** When the call began whose answer said so. */
  readonly startedAt: number;
  readonly heardAt: number;
  readonly resetAt: number;
}

const GO = { at: Number.NEGATIVE_INFINITY, obstacle: undefined, sudden: false } as const satisfies Turn;

export class RateLimits {
  readonly #windows = new Map<Dimension, Window>();
  readonly #underWay = new Set<Sent>();
  /** Limits that come back bit by bit, as those of a token bucket do, and not all at the reset. */
  readonly #refilling = new Set<Dimension>();
  #pausedUntil = Number.NEGATIVE_INFINITY;
  /** When the newest word was heard that asked for a pause. */
  #pausedAt = Number.NEGATIVE_INFINITY;
  #heardAt = Number.NEGATIVE_INFINITY;
  #turnedAway = 0;
  #turnedAwayAt = Number.NEGATIVE_INFINITY;
  /** When the newest call began whose credential was not accepted; undefined: none, or one after it was. */
  #disownedAt: number | undefined;

  /** True when tokens are limited, so that it is worth while to estimate them. */
  get countsTokens(): boolean {
    return this.#windows.size > (this.#windows.has('requests') ? 1 : 0);
  }

  get pausedUntil(): number {
    return this.#pausedUntil;
  }

  /** False from a call whose credential was not accepted, or has used up its quota, until one with it succeeds. */
  get isAccepted(): boolean {
    return this.#disownedAt === undefined;
  }

  /** When a call that asks for so much may go. */
  turnOf(demand: Demand, now: number): Turn {
    let turn: Turn = GO;
    if (this.#pausedUntil > now) turn = { at: this.#pausedUntil, obstacle: 'throttled', sudden: true };
    for (const [dimension, window] of this.#windows) {
      const at = this.#readyAt(dimension, window, { demand, now });
      if (at > now && at > turn.at)
        turn = { at, obstacle: dimension, sudden: !this.#refilling.has(dimension) };
    }
    return turn;
  }

  /** Undefined while nothing was heard. */
  get memory(): LimitsMemory | undefined {
    if (this.#heardAt === Number.NEGATIVE_INFINITY && this.isAccepted) return undefined;
    return {
      pausedUntil: this.#pausedUntil,
      heardAt: this.#heardAt,
      turnedAway: this.#turnedAway,
      disowned: !this.isAccepted,
      windows: [...this.#windows].map(([dimension, { limit = null, remaining, heardAt, resetAt }]) => {
        return { dimension, limit, remaining, refilling: this.#refilling.has(dimension), heardAt, resetAt };
      }),
    };
  }

  /** Takes up what was known in a process before this one. Every call of this one is younger than all of it. */
  restore({ pausedUntil, heardAt, turnedAway, disowned, windows }: LimitsMemory, now: number): void {
    this.#pausedUntil = pausedUntil;
    this.#heardAt = heardAt;
    this.#turnedAway = turnedAway;
    this.#disownedAt = disowned ? now : undefined;
    for (const { dimension, refilling, limit, ...window } of windows) {
      this.#windows.set(dimension, { ...window, limit: limit ?? undefined, startedAt: window.heardAt });
      if (refilling) this.#refilling.add(dimension);
    }
  }

  /** True when nothing was heard for long, and nothing is under way: what is known may be out of date. */
  isSilent(now: number): boolean {
    return this.#underWay.size === 0 && now - this.#heardAt >= SILENCE_MS;
  }

  /** A call goes. It must be settled exactly once. */
  begin(demand: Demand, now: number): Sent {
    const sent = { demand, startedAt: now };
    this.#underWay.add(sent);
    return sent;
  }

  /** The call has its answer, or will have none. */
  settle(sent: Sent): void {
    this.#underWay.delete(sent);
  }

  /** What the answer to `sent` said. */
  observe(sent: Sent, reading: RateLimitReading, now: number): void {
    for (const [dimension, news] of reading) this.#observe(dimension, news, { sent, now });
    this.#heardAt = now;
  }

  /**
   * An answer as wanted.
   * @returns true when it ends a pause: the call went after the pause had been asked for, so that is over
   */
  admitted(sent: Sent, now: number): boolean {
    if (sent.startedAt >= this.#turnedAwayAt) this.#turnedAway = 0;
    if (sent.startedAt >= (this.#disownedAt ?? Number.POSITIVE_INFINITY)) this.#disownedAt = undefined;
    const isOver = this.#pausedUntil > now && sent.startedAt > this.#pausedAt;
    if (isOver) this.#pausedUntil = Number.NEGATIVE_INFINITY;
    return isOver;
  }

  /** Refused for its credential. */
  disowned(sent: Sent): void {
    this.#disownedAt = Math.max(sent.startedAt, this.#disownedAt ?? Number.NEGATIVE_INFINITY);
  }

  /**
   * Turned away for its rate.
   * @returns how many there have been in a row, of those that went after the one before was heard; the others say
   *   nothing new
   */
  turnedAway(sent: Sent, now: number): number {
    if (sent.startedAt >= this.#turnedAwayAt) {
      this.#turnedAway += 1;
      this.#turnedAwayAt = now;
    }
    if (this.#turnedAway >= REFUTED_AFTER) this.#refilling.clear();
    this.#heardAt = now;
    return this.#turnedAway;
  }

  /** Nobody goes before `at`, or a success. Only ever later. */
  pauseUntil(at: number, now: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, at);
    this.#pausedAt = now;
  }

  /** In a fixed order. */
  states(now: number): LimitState[] {
    return DIMENSIONS.flatMap((dimension) => {
      const window = this.#windows.get(dimension);
      if (!window) return [];
      const left = this.#have(dimension, window, now) - this.#uncounted(dimension, window, now);
      if (!Number.isFinite(left)) return [];
      return [{ dimension, limit: window.limit, remaining: Math.max(0, Math.floor(left)) }];
    });
  }

  #observe(dimension: Dimension, news: LimitReading, { sent, now }: { sent: Sent; now: number }): void {
    const known = this.#windows.get(dimension);
    const resetInMs = news.resetInMs ?? RESET_UNKNOWN_MS;
    const limit = news.limit ?? known?.limit;
    const next = { limit, remaining: news.remaining, startedAt: sent.startedAt, heardAt: now };
    if (!known) {
      this.#windows.set(dimension, { ...next, resetAt: now + resetInMs });
      return;
    }
    const over = now >= known.resetAt;
    const newest = over ? known.resetAt : known.startedAt;
    // Of the window before, or from before what is known: an answer that took long.
    if (sent.startedAt < newest - DISORDER_MS) return;
    if (!over && this.#comesBackBitByBit(known, news, sent)) this.#refilling.add(dimension);
    const inDisorder = !over && sent.startedAt <= known.startedAt + DISORDER_MS;
    if (inDisorder && news.remaining >= this.#have(dimension, known, now)) return;
    // A reset is heard of too late rather than too early: within one window the earliest report is the best.
    const stands = !over && !this.#refilling.has(dimension);
    const resetAt = stands ? Math.min(known.resetAt, now + resetInMs) : now + resetInMs;
    this.#windows.set(dimension, { ...next, resetAt });
  }

  /** The reset of a window stands still; that of a bucket recedes with all that is taken out. */
  #comesBackBitByBit(known: Window, { limit, remaining, resetInMs }: LimitReading, sent: Sent): boolean {
    if (resetInMs === undefined || limit === undefined || remaining > known.remaining) return false;
    return sent.startedAt + resetInMs > known.resetAt + ROUNDING_MS;
  }

  #readyAt(dimension: Dimension, window: Window, { demand, now }: { demand: Demand; now: number }): number {
    const { remaining, heardAt, resetAt } = window;
    const taken = shareOf(demand, dimension, window.limit) + this.#uncounted(dimension, window, now);
    if (taken <= this.#have(dimension, window, now) + ROUNDING) return now;
    if (now >= resetAt) return Number.POSITIVE_INFINITY;
    const rate = this.#rateOf(dimension, window);
    return rate > 0 ? Math.min(resetAt, heardAt + (taken - remaining) / rate) : resetAt;
  }

  /** What there is by now of what the provider spoke of. */
  #have(dimension: Dimension, window: Window, now: number): number {
    const { limit = Number.POSITIVE_INFINITY, remaining, heardAt, resetAt } = window;
    if (now >= resetAt) return limit;
    const rate = this.#rateOf(dimension, window);
    return rate > 0 ? Math.min(limit, remaining + rate * (now - heardAt)) : remaining;
  }

  /** What comes back per millisecond before the reset. */
  #rateOf(dimension: Dimension, { limit, remaining, heardAt, resetAt }: Window): number {
    if (limit === undefined || !this.#refilling.has(dimension) || resetAt <= heardAt) return 0;
    return Math.max(0, limit - remaining) / (resetAt - heardAt);
  }

  /** What is under way and may not have been counted yet in what the provider said. */
  #uncounted(dimension: Dimension, { limit, startedAt, resetAt }: Window, now: number): number {
    const since = (now >= resetAt ? resetAt : startedAt) - DISORDER_MS;
    let sum = 0;
    for (const sent of this.#underWay)
      if (sent.startedAt > since) sum += shareOf(sent.demand, dimension, limit);
    return sum;
  }
}

/**
 * What a call takes off a limit: nothing beyond what there is, and of tokens half of it at most. Those are estimates,
 * far too high where pictures are sent: one such call must neither wait for all of the limit nor keep it from all others.
 */
function shareOf(demand: Demand, dimension: Dimension, limit = Number.POSITIVE_INFINITY): number {
  return Math.min(costOf(demand, dimension), dimension === 'requests' ? limit : limit * MOST_OF_TOKENS);
}

function costOf({ input, output }: Demand, dimension: Dimension): number {
  switch (dimension) {
    case 'requests':
      return 1;
    case 'tokens':
      return input + output;
    case 'input-tokens':
      return input;
    case 'output-tokens':
      // Answers are counted by what is in them: most use little of what they may, and one token must be left.
      return 1;
  }
}
