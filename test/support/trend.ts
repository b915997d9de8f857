/** How a figure moves over rounds, whatever single rounds do. */

/**
 * Growth from one value to the next: the median of the slopes between all pairs (Theil–Sen). Up to about a quarter of the
 * values may be anything without changing what it says of the others.
 */
export function growthPerStep(values: readonly number[]): number {
  const slopes = values.flatMap((left, i) => values.slice(i + 1).map((right, n) => (right - left) / (n + 1)));
  slopes.sort((a, b) => a - b);
  const middle = Math.floor(slopes.length / 2);
  const upper = slopes[middle] ?? 0;
  return slopes.length % 2 === 1 ? upper : ((slopes[middle - 1] ?? 0) + upper) / 2;
}
