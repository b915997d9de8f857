/**
 * Finds a concurrency limit as TCP finds its window: one more in each round in which all of the limit was used and
 * nothing was dropped, a share less at a drop. Needs no idea of what is slow, and knows nothing but drops.
 * @see Chiu, Jain, "Analysis of the increase and decrease algorithms for congestion avoidance", 1989
 */
import type { LimitRange, ConcurrencyLimit, LoadSample } from './concurrency-limit.ts';

export interface AimdOptions {
  /** Share of the limit that is left after a drop, in (0, 1). */
  readonly backoffRatio: number;
  /** An answer that takes longer counts as dropped; false: none does. */
  readonly latencyThresholdMs: number | false;
}

export class AimdLimit implements ConcurrencyLimit {
  readonly baselineMs = undefined;
  readonly #range: LimitRange;
  #options: AimdOptions;
  /** Most at a time in the present round. */
  #peak = 0;
  /** Good answers in the present round: about as many as the limit come within one round trip. */
  #answers = 0;
  #shrunkAt = Number.NEGATIVE_INFINITY;

  constructor(options: AimdOptions, range: LimitRange) {
    this.#options = options;
    this.#range = range;
  }

  get current(): number {
    return this.#range.current;
  }

  reconfigure(options: AimdOptions): void {
    this.#options = options;
  }

  used(active: number): void {
    this.#peak = Math.max(this.#peak, active);
  }

  observe(sample: LoadSample, now: number): void {
    // What began before the last step down has not felt it.
    if (sample.startedAt < this.#shrunkAt) return;
    if (this.#isDrop(sample)) this.#shrink(now);
    else if (sample.end === 'ok') this.#count();
  }

  #isDrop({ end, durationMs }: LoadSample): boolean {
    const { latencyThresholdMs } = this.#options;
    return end === 'dropped' || (latencyThresholdMs !== false && durationMs > latencyThresholdMs);
  }

  #shrink(now: number): void {
    this.#range.shrinkTo(this.#options.backoffRatio);
    this.#shrunkAt = now;
    this.#newRound();
  }

  #count(): void {
    this.#answers += 1;
    if (this.#answers < this.current) return;
    if (this.#peak >= this.current) this.#range.growBy(1);
    this.#newRound();
  }

  #newRound(): void {
    this.#answers = 0;
    this.#peak = 0;
  }
}
