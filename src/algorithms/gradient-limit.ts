/**
 * Finds a concurrency limit by what load does to latency: while answers take about as long as they do without load there
 * is room, and once they take much longer they queue somewhere below.
 *
 * It compares the median of each round with a baseline. Three things differ from its models, since calls of models are
 * few, and their latencies vary by a factor of ten:
 * - A round is as many answers as the limit, at least sixteen: about one round trip (Little's law), whatever the traffic.
 * - The baseline is learnt while the limit does not bind, and at the minimum. A latency that stays high makes the limit
 *   sink to the minimum, where it is taken for the new baseline: there is no need to throttle healthy traffic for a
 *   measurement, as Envoy does, and overload cannot pass for normal, as it does in a long average.
 * - One step down a round trip: answers to what began before the last step do not count.
 * @see Netflix concurrency-limits, Gradient2Limit; Envoy, adaptive concurrency filter; TCP Vegas
 */
import type { ConcurrencyLimit, LimitRange, LoadSample } from './concurrency-limit.ts';
import { MovingAverage } from './moving-average.ts';

export interface GradientOptions {
  /** How many times the baseline the median may be, above 1. */
  readonly tolerance: number;
  /** Share of the limit that is left after a drop, in (0, 1). */
  readonly backoffRatio: number;
}

/** The median of fewer says little. */
const MIN_ROUND = 16;
/** So many rounds are averaged for the first baseline. */
const FIRST_ROUNDS = 3;
/** No round takes more than half of the limit. */
const STEEPEST = 0.5;
/** Share of a new median in the baseline: while the limit does not bind; at the minimum; in what is usual of late. */
const LEARN = 0.1;
const RELEARN = 0.5;
const RECENT = 0.2;

export class GradientLimit implements ConcurrencyLimit {
  readonly #range: LimitRange;
  #options: GradientOptions;
  #baselineMs: number | undefined;
  #recent = new MovingAverage(RECENT);
  /** Durations of the present round. */
  #round: number[] = [];
  #rounds = 0;
  /** Most at a time in the present round. */
  #peak = 0;
  #shrunkAt = Number.NEGATIVE_INFINITY;

  constructor(options: GradientOptions, range: LimitRange) {
    this.#options = options;
    this.#range = range;
  }

  get current(): number {
    return this.#range.current;
  }

  get baselineMs(): number | undefined {
    return this.#baselineMs;
  }

  reconfigure(options: GradientOptions): void {
    this.#options = options;
  }

  used(active: number): void {
    this.#peak = Math.max(this.#peak, active);
  }

  observe(sample: LoadSample, now: number): void {
    if (sample.startedAt < this.#shrunkAt) return;
    if (sample.end === 'dropped') return this.#shrink(this.#options.backoffRatio, now);
    // It may have been given up after a moment: it tells something only where it was too slow already.
    if (sample.end === 'abandoned' && !(sample.durationMs > this.#tolerableMs)) return;
    this.#round.push(sample.durationMs);
    if (this.#round.length >= Math.max(MIN_ROUND, this.current)) this.#endRound(now);
  }

  get #tolerableMs(): number {
    return this.#baselineMs === undefined
      ? Number.POSITIVE_INFINITY
      : this.#baselineMs * this.#options.tolerance;
  }

  #endRound(now: number): void {
    const [median, peak] = [medianOf(this.#round), this.#peak];
    this.#newRound();
    this.#recent.add(median);
    this.#rounds += 1;
    const { tolerance } = this.#options;
    const before = this.#baselineMs ?? median;
    this.#baselineMs = this.#learnt(before, median, peak);
    // One median says little of what is usual.
    if (this.#rounds <= FIRST_ROUNDS) return;
    // What answers could take, by what they do take; 0 ms can be read from a coarse clock.
    const slack = (before * tolerance) / Math.max(median, 1e-3);
    if (slack < 1 && 2 * peak >= this.current) this.#shrink(Math.max(STEEPEST, slack), now);
    else if (slack > 1 && peak >= this.current)
      this.#range.growBy(Math.sqrt(this.#range.value) * Math.min(1, (slack - 1) / (tolerance - 1)));
  }

  /** The baseline after a round. */
  #learnt(base: number, median: number, peak: number): number {
    const { tolerance } = this.#options;
    if (this.#rounds <= FIRST_ROUNDS) return base + (median - base) / this.#rounds;
    if (this.#range.isAtMinimum) return base + (median - base) * RELEARN;
    // Others load the upstream, too: what is far too slow counts for no more than what is tolerable.
    if (peak < this.current) return base + (Math.min(median, base * tolerance) - base) * LEARN;
    // Faster under load than it was without, and not by chance.
    const recent = this.#recent.value ?? median;
    return recent * tolerance < base ? recent : base;
  }

  #shrink(share: number, now: number): void {
    this.#range.shrinkTo(share);
    this.#shrunkAt = now;
    this.#newRound();
  }

  #newRound(): void {
    this.#round = [];
    this.#peak = 0;
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}
