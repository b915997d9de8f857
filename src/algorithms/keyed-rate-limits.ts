/**
 * The rate limits of an upstream's credentials, by the name of each: providers count per key. With one credential there
 * is one entry; with several a call may go as soon as any of them has room.
 */
import { RateLimits } from './rate-limits.ts';
import type { Demand, LimitState, Sent, Turn } from './rate-limits.ts';

/** A call under way, and the credential on whose account it was let go. */
export interface Ticket {
  readonly limits: RateLimits;
  readonly sent: Sent;
}

/** Name of the credential where there is but one, or where nobody says which. */
export const ONLY_KEY = '';

export class KeyedRateLimits {
  readonly #byKey = new Map([[ONLY_KEY, new RateLimits()]]);

  /** @param key name of a configured credential, never its value; one that is new is known from then on */
  of(key: string): RateLimits {
    const known = this.#byKey.get(key);
    if (known) return known;
    // The first to be named is the one that had no name until now; else there would always be one that nothing limits.
    const limits = this.#byKey.get(ONLY_KEY) ?? new RateLimits();
    this.#byKey.delete(ONLY_KEY);
    this.#byKey.set(key, limits);
    return limits;
  }

  /** These credentials there are, and no others: one that was never used has room, one that is gone has none. */
  announce(keys: readonly string[]): void {
    if (keys.length === 0) return;
    for (const key of keys) this.of(key);
    for (const known of [...this.#byKey.keys()]) if (!keys.includes(known)) this.#byKey.delete(known);
  }

  /** Until when every credential is to be left alone. */
  get pausedUntil(): number {
    return Math.min(...[...this.#byKey.values()].map(({ pausedUntil }) => pausedUntil));
  }

  get countsTokens(): boolean {
    return [...this.#byKey.values()].some(({ countsTokens }) => countsTokens);
  }

  /** When a call may go, on whichever credential. */
  turnOf(demand: Demand, now: number): Turn {
    return this.#soonest(demand, now).turn;
  }

  begin(demand: Demand, now: number): Ticket {
    const { limits } = this.#soonest(demand, now);
    return { limits, sent: limits.begin(demand, now) };
  }

  isSilent(now: number): boolean {
    return [...this.#byKey.values()].every((limits) => limits.isSilent(now));
  }

  /** Of the first credential that has something left of everything; of the first where none has. */
  states(now: number): LimitState[] {
    const all = [...this.#byKey.values()].map((limits) => limits.states(now));
    return all.find((states) => states.every(({ remaining }) => remaining > 0)) ?? all[0] ?? [];
  }

  #soonest(demand: Demand, now: number): { readonly limits: RateLimits; readonly turn: Turn } {
    const all = [...this.#byKey.values()].map((limits) => ({ limits, turn: limits.turnOf(demand, now) }));
    return all.reduce((best, one) => (one.turn.at < best.turn.at ? one : best));
  }
}
