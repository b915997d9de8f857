/** Any candidate, whatever its weight. Needs no memory, and many sidecars need no agreement. */
import type { Balancer, Candidate } from '../core/balancer.ts';
import type { Random } from '../core/random.ts';

export class RandomChoice implements Balancer {
  readonly name = 'random';
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  pick(candidates: readonly Candidate[]): number {
    return Math.floor(this.#random.next() * candidates.length);
  }
}
