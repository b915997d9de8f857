/**
 * The better of two that chance names: nearly as good as knowing the best of all, without everybody rushing to it.
 * @see Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001
 */
import { weightedIndex } from '../algorithms/weighted-index.ts';
import type { Candidate } from '../core/balancer.ts';
import type { Random } from '../core/random.ts';

/** @param costOf what another call would cost there; the smaller is taken, the first of equals */
export function betterOfTwo(
  candidates: readonly Candidate[],
  random: Random,
  costOf: (candidate: Candidate) => number,
): number {
  const first = weightedIndex(candidates, random);
  if (candidates.length === 1) return first;
  const second = weightedIndex(candidates, random, first);
  const cost = (index: number): number => costOf(candidates[index] as Candidate);
  return cost(second) < cost(first) ? second : first;
}
