/** Each candidate in its turn, as often as its weight says, and never in bursts: 5, 1, 1 gives a a b a c a a. */
import type { Balancer, Candidate } from '../core/balancer.ts';

/** Names whose gains are known: more than an upstream has endpoints, since calls may be for a few of them only. */
const MAX_NAMES = 20_000;

/**
 * Everybody gains their weight with each call; the richest is called and pays what all have gained.
 * @see the smooth weighted round robin of nginx (2012)
 */
export class WeightedRoundRobin implements Balancer {
  readonly name = 'weighted-round-robin';
  /** Gains by name, about 0 on average. */
  readonly #gains = new Map<string, number>();

  pick(candidates: readonly Candidate[]): number {
    let [best, bestGain, total] = [0, Number.NEGATIVE_INFINITY, 0];
    for (let i = 0; i < candidates.length; i++) {
      const { name, weight } = candidates[i] as Candidate;
      const gain = (this.#gains.get(name) ?? 0) + weight;
      this.#gains.set(name, gain);
      total += weight;
      if (gain > bestGain) [best, bestGain] = [i, gain];
    }
    this.#gains.set((candidates[best] as Candidate).name, bestGain - total);
    if (this.#gains.size > MAX_NAMES) this.#forgetAllBut(candidates);
    return best;
  }

  #forgetAllBut(candidates: readonly Candidate[]): void {
    const names = new Set(candidates.map(({ name }) => name));
    for (const name of this.#gains.keys()) if (!names.has(name)) this.#gains.delete(name);
  }
}
