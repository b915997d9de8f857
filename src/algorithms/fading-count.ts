/** How many there have been of late: each counts as one when it happens, and for less and less from then on. */

/** Less than this is nothing. */
const NOTHING = 0.05;

export class FadingCount {
  /** Time in which one loses all but 1/e of its worth, in milliseconds > 0. */
  readonly #decayMs: number;
  readonly #max: number;
  #value = 0;
  #at: number;

  /** @param max it never says more, so that what was very many is forgotten in bounded time, too */
  constructor(decayMs: number, max: number, now: number) {
    this.#decayMs = decayMs;
    this.#max = max;
    this.#at = now;
  }

  add(now: number): void {
    this.#value = Math.min(this.#max, this.valueAt(now) + 1);
    this.#at = Math.max(this.#at, now);
  }

  valueAt(now: number): number {
    if (this.#value === 0) return 0;
    const value = this.#value * Math.exp(-Math.max(0, now - this.#at) / this.#decayMs);
    return value < NOTHING ? 0 : value;
  }
}
