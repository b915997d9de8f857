/**
 * Percentiles of durations over the last stretch of time: a histogram whose buckets grow by a constant factor, so that
 * the error is a share of the value whatever its size, and whose memory does not depend on the traffic.
 *
 * What it says is within 2.5 % of the sample of that rank, for durations from 0.1 ms to an hour; shorter and longer ones
 * count as these. The window is exact to a tenth.
 * @see Masson, Rim, Lee, "DDSketch", VLDB 2019, §2 (relative-error buckets)
 */
import { RollingCounts } from './rolling-counts.ts';

const SHORTEST_MS = 0.1;
const LONGEST_MS = 3_600_000;
/** From one bucket to the next. Its root is the most by which a bucket's middle can be off. */
const GROWTH = 1.05;
const LOG_GROWTH = Math.log(GROWTH);

const bucketOf = (ms: number): number => Math.round(Math.log(ms / SHORTEST_MS) / LOG_GROWTH);

const BUCKETS = bucketOf(LONGEST_MS) + 1;

export class RollingPercentile {
  readonly windowMs: number;
  readonly #counts: RollingCounts;
  readonly #samples: RollingCounts;

  /** @param windowMs length of the window, above zero */
  constructor(windowMs: number) {
    this.windowMs = windowMs;
    this.#counts = new RollingCounts(windowMs, BUCKETS);
    this.#samples = new RollingCounts(windowMs, 1);
  }

  add(ms: number, now: number): void {
    this.#counts.add(bucketOf(Math.min(LONGEST_MS, Math.max(SHORTEST_MS, ms))), now);
    this.#samples.add(0, now);
  }

  /** Samples in the window. */
  size(now: number): number {
    return this.#samples.totals(now)[0] as number;
  }

  /**
   * The duration that a share of the samples does not exceed: the one of rank ⌈share · size⌉, by the nearest-rank method.
   * @param share above 0, below 1
   * @returns undefined without samples
   */
  at(share: number, now: number): number | undefined {
    const rank = Math.ceil(share * this.size(now));
    if (rank === 0) return undefined;
    const counts = this.#counts.totals(now);
    let seen = 0;
    let bucket = 0;
    while ((seen += counts[bucket] as number) < rank) bucket += 1;
    return SHORTEST_MS * GROWTH ** bucket;
  }
}
