/**
 * The same candidate for the same key, as long as it is there and has not far more to do than its share. Calls without a
 * key go anywhere.
 */
import { rendezvousScore } from '../algorithms/rendezvous.ts';
import { hashText } from '../algorithms/string-hash.ts';
import { weightedIndex } from '../algorithms/weighted-index.ts';
import type { Balancer, Candidate, Choice } from '../core/balancer.ts';
import type { Random } from '../core/random.ts';

const MAX_HASHES = 10_000;

export class ConsistentHash implements Balancer {
  readonly name = 'consistent-hash';
  readonly #random: Random;
  readonly #loadFactor: number;
  /** Names are hashed once. */
  readonly #hashes = new Map<string, number>();

  /**
   * @param loadFactor how many times its share of the calls under way one may have before keys go to the next; > 1,
   *   Infinity for no bound
   * @see Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016
   */
  constructor(random: Random, loadFactor: number) {
    this.#random = random;
    this.#loadFactor = loadFactor;
  }

  pick(candidates: readonly Candidate[], { key }: Choice): number {
    if (key === undefined) return weightedIndex(candidates, this.#random);
    const hash = hashText(key);
    const room = this.#roomOf(candidates);
    let [best, bestScore] = [-1, Number.NEGATIVE_INFINITY];
    let [home, homeScore] = [0, Number.NEGATIVE_INFINITY];
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i] as Candidate;
      const score = rendezvousScore(hash, this.#hashOf(candidate.name), candidate.weight);
      if (score > homeScore) [home, homeScore] = [i, score];
      if (score > bestScore && room(candidate)) [best, bestScore] = [i, score];
    }
    return best >= 0 ? best : home;
  }

  #hashOf(name: string): number {
    const known = this.#hashes.get(name);
    if (known !== undefined) return known;
    // Those that are gone are not worth a ledger of their own.
    if (this.#hashes.size >= MAX_HASHES) this.#hashes.clear();
    const hash = hashText(name);
    this.#hashes.set(name, hash);
    return hash;
  }

  #roomOf(candidates: readonly Candidate[]): (candidate: Candidate) => boolean {
    if (!Number.isFinite(this.#loadFactor)) return () => true;
    let [active, weight] = [1, 0];
    for (const one of candidates) {
      active += one.active;
      weight += one.weight;
    }
    const perWeight = (this.#loadFactor * active) / weight;
    return (one) => one.active < Math.ceil(perWeight * one.weight);
  }
}
