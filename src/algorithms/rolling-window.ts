/** Counters with names over the last stretch of true time. */
import { RollingCounts } from './rolling-counts.ts';
import type { Tally } from './rolling-counts.ts';

/** Several counters that share one window. */
export class RollingWindow<Name extends string> {
  readonly #names: readonly Name[];
  readonly #counts: RollingCounts;

  /** @param windowMs length of the window, above zero; it is exact to a tenth */
  constructor(windowMs: number, names: readonly Name[]) {
    this.#names = names;
    this.#counts = new RollingCounts(windowMs, names.length);
  }

  add(name: Name, now: number, amount = 1): void {
    this.#counts.add(this.#names.indexOf(name), now, amount);
  }

  /** One that was counted at `at` does not count after all. */
  takeBack(name: Name, at: number, now: number): void {
    this.#counts.takeBack(this.#names.indexOf(name), at, now);
  }

  /** Sum over the window that ends now. */
  total(name: Name, now: number): number {
    return this.#counts.totals(now)[this.#names.indexOf(name)] as number;
  }

  /** A bound that costs nothing: the sum, and with it what has grown old since the window was touched last. */
  atMost(name: Name): number {
    return this.#counts.atMost(this.#names.indexOf(name));
  }

  /** All that counts now; see {@link RollingCounts.tallies}. */
  tallies(now: number): Tally[] {
    return this.#counts.tallies(now);
  }

  /** Adds what another window counted, as far as it still counts. */
  take(tallies: readonly Tally[], now: number): void {
    this.#counts.take(tallies, now);
  }

  clear(): void {
    this.#counts.clear();
  }
}
