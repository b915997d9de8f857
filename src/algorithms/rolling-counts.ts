/**
 * Counts over the last stretch of true time. Slices are named by the time they cover, so that an idle minute ages
 * everything out by itself; a window that moves only when it is used would call old failures current.
 */

const SLICES = 10;

/** Where slice number `n` is kept; clocks may start below zero. */
const slot = (n: number): number => ((n % SLICES) + SLICES) % SLICES;

/** What was counted about one instant: first the instant, then the counts, in the order of the counters. */
export type Tally = readonly number[];

/** Several counters, numbered from 0, that share one window. */
export class RollingCounts {
  readonly #sliceMs: number;
  readonly #width: number;
  /** Counts of slice s stand from s × width on. */
  readonly #counts: Float64Array;
  readonly #totals: Float64Array;
  /** Number of the newest slice that was touched, since the clock's start. */
  #newest = Number.NEGATIVE_INFINITY;

  /** @param windowMs length of the window, above zero; it is exact to a tenth */
  constructor(windowMs: number, counters: number) {
    this.#sliceMs = windowMs / SLICES;
    this.#width = counters;
    this.#counts = new Float64Array(SLICES * counters);
    this.#totals = new Float64Array(counters);
  }

  add(counter: number, now: number, amount = 1): void {
    this.#roll(now);
    const index = slot(this.#newest) * this.#width + counter;
    this.#counts[index] = (this.#counts[index] as number) + amount;
    this.#totals[counter] = (this.#totals[counter] as number) + amount;
  }

  /** One that was counted at `at` does not count after all: where it was counted, or nowhere once it has aged out. */
  takeBack(counter: number, at: number, now: number): void {
    this.#roll(now);
    const slice = Math.min(this.#newest, Math.floor(at / this.#sliceMs));
    if (slice <= this.#newest - SLICES) return;
    const index = slot(slice) * this.#width + counter;
    this.#counts[index] = (this.#counts[index] as number) - 1;
    this.#totals[counter] = (this.#totals[counter] as number) - 1;
  }

  /** Sums over the window that ends now, one for each counter. To be read at once: they go on counting. */
  totals(now: number): Readonly<Float64Array> {
    this.#roll(now);
    return this.#totals;
  }

  /** At least the sum of that counter: what grew old since the last touch is still in it. */
  atMost(counter: number): number {
    return this.#totals[counter] as number;
  }

  /** All that counts now, oldest first; instants are monotonic. A window of the same length and counters can take it up. */
  tallies(now: number): Tally[] {
    this.#roll(now);
    const tallies: Tally[] = [];
    for (let n = this.#newest - SLICES + 1; n <= this.#newest; n++) {
      const counts = this.#counts.subarray(slot(n) * this.#width, (slot(n) + 1) * this.#width);
      if (counts.some((count) => count !== 0)) tallies.push([(n + 0.5) * this.#sliceMs, ...counts]);
    }
    return tallies;
  }

  /** Adds what another window counted, as far as it still counts. */
  take(tallies: readonly Tally[], now: number): void {
    this.#roll(now);
    for (const [at = 0, ...counts] of tallies) {
      const slice = Math.min(this.#newest, Math.floor(at / this.#sliceMs));
      if (slice > this.#newest - SLICES) this.#put(slice, counts);
    }
  }

  clear(): void {
    this.#counts.fill(0);
    this.#totals.fill(0);
  }

  #put(slice: number, counts: readonly number[]): void {
    for (let counter = 0; counter < this.#width; counter++) {
      const index = slot(slice) * this.#width + counter;
      this.#counts[index] = (this.#counts[index] as number) + (counts[counter] ?? 0);
      this.#totals[counter] = (this.#totals[counter] as number) + (counts[counter] ?? 0);
    }
  }

  #roll(now: number): void {
    const current = Math.floor(now / this.#sliceMs);
    if (current <= this.#newest) return;
    const stale = Math.min(SLICES, current - this.#newest);
    for (let i = 0; i < stale; i++) this.#empty(slot(current - i));
    this.#newest = current;
  }

  #empty(slice: number): void {
    for (let counter = 0; counter < this.#width; counter++) {
      const index = slice * this.#width + counter;
      this.#totals[counter] = (this.#totals[counter] as number) - (this.#counts[index] as number);
      this.#counts[index] = 0;
    }
  }
}
