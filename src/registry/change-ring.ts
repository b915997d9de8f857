/**
 * The latest changes, for those who follow. They keep a place in it and read on from there when they can take more, so that
 * a slow one costs no memory; whoever falls off its end begins anew with all there is.
 */
import type { InstanceChange } from '../core/registry.ts';

export class ChangeRing {
  readonly #capacity: number;
  readonly #changes: InstanceChange[] = [];
  /** Of the change that was overwritten last, or of the beginning. */
  #floor = 0;
  #newest = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Revision of the newest change; 0 before the first. */
  get newest(): number {
    return this.#newest;
  }

  /** @param change its revision is one more than that of the change before */
  add(change: InstanceChange): void {
    const at = change.revision % this.#capacity;
    this.#floor = this.#changes[at]?.revision ?? this.#floor;
    this.#changes[at] = change;
    this.#newest = change.revision;
  }

  /**
   * @param revision of the last change that is known
   * @param most changes to return
   * @returns what came after it, oldest first; undefined where that is not all here any more, or was never
   */
  after(revision: number, most: number): readonly InstanceChange[] | undefined {
    if (revision < this.#floor || revision > this.#newest) return undefined;
    const found: InstanceChange[] = [];
    for (let next = revision + 1; next <= this.#newest && found.length < most; next++) {
      const change = this.#changes[next % this.#capacity];
      if (change) found.push(change);
    }
    return found;
  }
}
