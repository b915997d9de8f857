/** The few figures a bench needs: medians with their spread, percentiles, and ratios paired turn by turn. */

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** How many values the figures rest on, ≥ 1. */
  readonly count: number;
}

/** One figure of one turn. In a turn every peer is measured once; turns are numbered from 0. */
export interface TurnValue {
  readonly turn: number;
  readonly value: number;
}

/** Median, smallest and largest value; undefined for none. The median of an even count is the mean of the middle two. */
export function summarise(values: readonly number[]): Summary | undefined {
  const sorted = ascending(values);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) return undefined;
  const upper = sorted[Math.floor(sorted.length / 2)] ?? max;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? min;
  return { median: (lower + upper) / 2, min, max, count: sorted.length };
}

/**
 * Nearest-rank percentile: the smallest value that at least `percent` % of the values do not exceed.
 * @param percent 0–100; 0 gives the smallest value
 * @returns 0 for no values, because a turn without answers has no latency either
 */
export function percentile(values: readonly number[] | Float64Array, percent: number): number {
  const sorted = ascending(values);
  const rank = Math.ceil((percent / 100) * sorted.length);
  return sorted[Math.max(0, rank - 1)] ?? 0;
}

/**
 * How `subject` compares with `base`, from the ratio of each turn that both have: neighbours in time share the
 * machine's mood, so their ratio is steadier than the ratio of two medians.
 * @returns undefined where no turn has both, or where the base is 0 in all of them
 */
export function pairedRatio(subject: readonly TurnValue[], base: readonly TurnValue[]): Summary | undefined {
  const baseByTurn = new Map(base.map(({ turn, value }) => [turn, value]));
  const ratios: number[] = [];
  for (const { turn, value } of subject) {
    const divisor = baseByTurn.get(turn);
    if (divisor !== undefined && divisor !== 0) ratios.push(value / divisor);
  }
  return summarise(ratios);
}

function ascending(values: readonly number[] | Float64Array): Float64Array {
  return Float64Array.from(values).sort();
}
