/**
 * Rendezvous hashing with weights: everyone who knows the same members sends a key to the same one. When a member comes or
 * goes, only the keys move that it gets or had.
 * @see Thaler, Ravishankar, "Using name-based mappings to increase hit rates", 1998; weights by −w / ln h.
 */
import { hashPair } from './string-hash.ts';

const RANGE = 2 ** 32;

/**
 * How much a member is worth to a key; the greatest has it.
 * @param keyHash `hashText` of the key
 * @param nameHash `hashText` of the member's name
 * @param weight > 0
 */
export function rendezvousScore(keyHash: number, nameHash: number, weight: number): number {
  const share = (hashPair(keyHash, nameHash) + 0.5) / RANGE;
  return weight / -Math.log(share);
}
