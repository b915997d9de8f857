/**
 * The one of two with less to do for its weight. Bodies count: a stream is work until its end. Of equals the one that
 * chance named first, which is as likely as its weight says: while there is little to do, weights are shares of calls, and
 * while there is much, of calls under way.
 */
import type { Balancer, Candidate } from '../core/balancer.ts';
import type { Random } from '../core/random.ts';
import { betterOfTwo } from './two-choices.ts';

export class LeastRequest implements Balancer {
  readonly name = 'least-request';
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  pick(candidates: readonly Candidate[]): number {
    return betterOfTwo(candidates, this.#random, ({ active, weight }) => active / weight);
  }
}
