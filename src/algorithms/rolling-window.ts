/**
 * Counts over the last stretch of true time. Buckets are named by the time they cover, so that an idle minute ages
 * everything out by itself; a window that moves only when it is used would call old failures current.
 */

const BUCKETS = 10;

/** Where bucket number `n` is kept; clocks may start below zero. */
const slot = (n: number): number => ((n % BUCKETS) + BUCKETS) % BUCKETS;

/** What was counted about one instant: first the instant, then the counts, in the order of the window's names. */
export type Tally = readonly number[];

/** Several counters that share one window. */
export class RollingWindow<Name extends string> {
  readonly #widthMs: number;
  readonly #names: readonly Name[];
  /** Counts of bucket b stand from b × names.length on. */
  readonly #counts: Float64Array;
  readonly #totals: Float64Array;
  /** Number of the newest bucket that was touched, since the clock's start. */
  #newest = Number.NEGATIVE_INFINITY;

  /** @param windowMs length of the window, above zero; it is exact to a tenth */
  constructor(windowMs: number, names: readonly Name[]) {
    this.#widthMs = windowMs / BUCKETS;
    this.#names = names;
    this.#counts = new Float64Array(BUCKETS * names.length);
    this.#totals = new Float64Array(names.length);
  }

  add(name: Name, now: number, amount = 1): void {
    this.#roll(now);
    const at = this.#names.indexOf(name);
    const index = slot(this.#newest) * this.#names.length + at;
    this.#counts[index] = (this.#counts[index] as number) + amount;
    this.#totals[at] = (this.#totals[at] as number) + amount;
  }

  /** Sum over the window that ends now. */
  total(name: Name, now: number): number {
    this.#roll(now);
    return this.#totals[this.#names.indexOf(name)] as number;
  }

  /** All that counts now, oldest first; instants are monotonic. A window of the same length and names can take it up. */
  tallies(now: number): Tally[] {
    this.#roll(now);
    const width = this.#names.length;
    const tallies: Tally[] = [];
    for (let n = this.#newest - BUCKETS + 1; n <= this.#newest; n++) {
      const counts = this.#counts.subarray(slot(n) * width, (slot(n) + 1) * width);
      if (counts.some((count) => count !== 0)) tallies.push([(n + 0.5) * this.#widthMs, ...counts]);
    }
    return tallies;
  }

  /** Adds what another window counted, as far as it still counts. */
  take(tallies: readonly Tally[], now: number): void {
    this.#roll(now);
    for (const [at = 0, ...counts] of tallies) {
      const bucket = Math.min(this.#newest, Math.floor(at / this.#widthMs));
      if (bucket > this.#newest - BUCKETS) this.#put(bucket, counts);
    }
  }

  clear(): void {
    this.#counts.fill(0);
    this.#totals.fill(0);
  }

  #put(bucket: number, counts: readonly number[]): void {
    const width = this.#names.length;
    for (let at = 0; at < width; at++) {
      const index = slot(bucket) * width + at;
      this.#counts[index] = (this.#counts[index] as number) + (counts[at] ?? 0);
      this.#totals[at] = (this.#totals[at] as number) + (counts[at] ?? 0);
    }
  }

  #roll(now: number): void {
    const current = Math.floor(now / this.#widthMs);
    if (current <= this.#newest) return;
    const stale = Math.min(BUCKETS, current - this.#newest);
    for (let i = 0; i < stale; i++) this.#empty(slot(current - i));
    this.#newest = current;
  }

  #empty(bucket: number): void {
    const width = this.#names.length;
    for (let i = 0; i < width; i++) {
      const index = bucket * width + i;
      this.#totals[i] = (this.#totals[i] as number) - (this.#counts[index] as number);
      this.#counts[index] = 0;
    }
  }
}
