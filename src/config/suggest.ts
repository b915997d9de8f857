/** "Did you mean …?": the closest known word to a mistyped one. */

/** Words longer than this are no typos of a key. */
const LONGEST_WORD = 64;

/** One spelling for `max_retries`, `MAX-RETRIES` and `maxRetries`. */
export const plainSpelling = (word: string): string => word.toLowerCase().replace(/[-_]/g, '');

/** @returns the candidate that differs least, if it differs by no more than a third of its letters */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > LONGEST_WORD) return undefined;
  const spelled = plainSpelling(word);
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    const other = plainSpelling(candidate);
    const limit = Math.max(1, Math.floor(Math.max(spelled.length, other.length) / 3));
    if (Math.abs(other.length - spelled.length) > limit) continue;
    const distance = editDistance(spelled, other);
    if (distance <= limit && distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** ` (did you mean "…"?)`, or nothing. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const suggestion = closest(word, candidates);
  return suggestion === undefined ? '' : `; did you mean ${JSON.stringify(suggestion)}?`;
}

/**
 * Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
 * @see Damerau, "A technique for computer detection and correction of spelling errors", CACM 1964
 */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(replace, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
