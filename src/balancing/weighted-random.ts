/** Any candidate, as likely as its weight says. */
import { weightedIndex } from '../algorithms/weighted-index.ts';
import type { Balancer, Candidate } from '../core/balancer.ts';
import type { Random } from '../core/random.ts';

export class WeightedRandom implements Balancer {
  readonly name = 'weighted-random';
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  pick(candidates: readonly Candidate[]): number {
    return weightedIndex(candidates, this.#random);
  }
}
