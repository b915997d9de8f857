/** A provider with rate limits, in the test's own time: it counts, turns away, and says in its headers what is left. */
import type { Attempt } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import type { Random } from '../../src/core/random.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { FakeClock } from './fake-clock.ts';
import { after, respond } from './policy-kit.ts';
import type { Step } from './policy-kit.ts';

/** One limit: takes or refuses, and knows what is left and when all of it is back. */
export interface Meter {
  readonly limit: number;
  has(amount: number, now: number): boolean;
  take(amount: number, now: number): void;
  left(now: number): number;
  /** Milliseconds. */
  resetIn(now: number): number;
}

/** Comes back bit by bit. */
export class Bucket implements Meter {
  readonly limit: number;
  readonly #perMs: number;
  #level: number;
  #at = 0;

  constructor(limit: number, windowMs: number) {
    this.limit = limit;
    this.#level = limit;
    this.#perMs = limit / windowMs;
  }

  left(now: number): number {
    return Math.min(this.limit, this.#level + (now - this.#at) * this.#perMs);
  }

  has(amount: number, now: number): boolean {
    return this.left(now) >= amount;
  }

  take(amount: number, now: number): void {
    this.#level = this.left(now) - amount;
    this.#at = now;
  }

  resetIn(now: number): number {
    return (this.limit - this.left(now)) / this.#perMs;
  }
}

/** Comes back all at once. */
export class FixedWindow implements Meter {
  readonly limit: number;
  readonly #windowMs: number;
  #number = -1;
  #taken = 0;

  constructor(limit: number, windowMs: number) {
    this.limit = limit;
    this.#windowMs = windowMs;
  }

  left(now: number): number {
    return this.limit - (Math.floor(now / this.#windowMs) === this.#number ? this.#taken : 0);
  }

  has(amount: number, now: number): boolean {
    return this.left(now) >= amount;
  }

  take(amount: number, now: number): void {
    this.#taken = this.limit - this.left(now) + amount;
    this.#number = Math.floor(now / this.#windowMs);
  }

  resetIn(now: number): number {
    return this.#windowMs - (now % this.#windowMs);
  }
}

export type Meters = Readonly<Partial<Record<'requests' | 'tokens', Meter>>>;

/** What is said of one meter. */
export type Dialect = (dimension: string, meter: Meter, at: { now: number; wallMs: number }) => string[];

export const openaiHeaders: Dialect = (dimension, meter, { now }) => [
  ...[`x-ratelimit-limit-${dimension}`, String(meter.limit)],
  ...[`x-ratelimit-remaining-${dimension}`, String(Math.max(0, Math.floor(meter.left(now))))],
  ...[`x-ratelimit-reset-${dimension}`, `${Math.ceil(meter.resetIn(now))}ms`],
];

export const anthropicHeaders: Dialect = (dimension, meter, { now, wallMs }) => [
  ...[`anthropic-ratelimit-${dimension}-limit`, String(meter.limit)],
  ...[`anthropic-ratelimit-${dimension}-remaining`, String(Math.max(0, Math.floor(meter.left(now))))],
  ...[`anthropic-ratelimit-${dimension}-reset`, inWholeSeconds(wallMs + meter.resetIn(now))],
];

const inWholeSeconds = (ms: number): string =>
  new Date(Math.ceil(ms / 1_000) * 1_000).toISOString().replace('.000', '');

export const noHeaders: Dialect = () => [];

export interface ProviderOptions {
  readonly meters: Meters;
  readonly headers: Dialect;
  /** Shortest and longest time to answer, in milliseconds. */
  readonly takesMs: readonly [number, number];
  /** Say with a refusal when to come back. */
  readonly retryAfter?: boolean;
  /** What others take of every meter on the same key, per millisecond. Default 0. */
  readonly othersPerMs?: number;
  readonly seed?: number;
}

/** Time that a refusal takes. */
const REFUSAL_MS = 50;

export class LimitedProvider {
  readonly #clock: FakeClock;
  readonly #options: ProviderOptions;
  readonly #random: Random;
  #othersAt: number;
  answered = 0;
  turnedAway = 0;

  constructor(clock: FakeClock, options: ProviderOptions) {
    this.#clock = clock;
    this.#othersAt = clock.now();
    this.#options = options;
    this.#random = seededRandom(options.seed ?? 5);
  }

  readonly step: Step<Attempt> = (attempt, cancellation): Promise<Outcome> => {
    attempt.phase = 'waiting';
    const now = this.#clock.now();
    const bytes = attempt.exchange.body.length ?? 0;
    const taken = { requests: 1, tokens: Math.ceil(bytes / 4) };
    const meters = Object.entries(this.#options.meters) as ['requests' | 'tokens', Meter][];
    this.#letOthersTake(meters, now);
    const lacking = meters.filter(([dimension, meter]) => !meter.has(taken[dimension], now));
    if (lacking.length === 0) for (const [dimension, meter] of meters) meter.take(taken[dimension], now);
    const at = { now, wallMs: this.#clock.wallMs() };
    const headers = meters.flatMap(([dimension, meter]) => this.#options.headers(dimension, meter, at));
    const [shortest, longest] = this.#options.takesMs;
    if (lacking.length === 0) {
      this.answered += 1;
      const takes = shortest + this.#random.next() * (longest - shortest);
      return after(this.#clock, takes, respond(200, { headers }))(attempt, cancellation);
    }
    this.turnedAway += 1;
    if (this.#options.retryAfter ?? false) {
      const waitMs = Math.max(...lacking.map(([, meter]) => meter.resetIn(now)));
      headers.push('retry-after', String(Math.ceil(waitMs / 1_000)));
    }
    return after(this.#clock, REFUSAL_MS, respond(429, { headers }))(attempt, cancellation);
  };

  #letOthersTake(meters: readonly (readonly [string, Meter])[], now: number): void {
    const amount = Math.floor((now - this.#othersAt) * (this.#options.othersPerMs ?? 0));
    if (amount === 0) return;
    this.#othersAt = now;
    for (const [, meter] of meters) meter.take(Math.min(amount, Math.floor(meter.left(now))), now);
  }
}
