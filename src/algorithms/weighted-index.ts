/** One of several by chance, as likely as its weight says. */
import type { Random } from '../core/random.ts';

/**
 * @param entries at least one; weights > 0
 * @param except an index that is not to be drawn; there must be another
 */
export function weightedIndex(
  entries: readonly { readonly weight: number }[],
  random: Random,
  except = -1,
): number {
  let total = 0;
  for (let i = 0; i < entries.length; i++) if (i !== except) total += weightAt(entries, i);
  let left = random.next() * total;
  let last = 0;
  for (let i = 0; i < entries.length; i++) {
    if (i === except) continue;
    last = i;
    left -= weightAt(entries, i);
    if (left < 0) return i;
  }
  // Sums of fractions may fall short of their whole.
  return last;
}

const weightAt = (entries: readonly { readonly weight: number }[], index: number): number =>
  entries[index]?.weight ?? 0;
