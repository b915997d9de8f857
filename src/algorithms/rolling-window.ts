/** Counters with names over the last stretch of true time. */
import { RollingCounts } from './rolling-counts.ts';

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

  /** Sum over the window that ends now. */
  total(name: Name, now: number): number {
    return this.#counts.totals(now)[this.#names.indexOf(name)] as number;
  }

  clear(): void {
    this.#counts.clear();
  }
}
