/** A bound that follows what is seen: a percentile of recent durations, times a factor, kept within limits. */
import { RollingPercentile } from './rolling-percentile.ts';

export interface LearntDurationOptions {
  /** Above 0, below 1. */
  readonly percentile: number;
  readonly factor: number;
  /** Least and most that it can be, in milliseconds. */
  readonly minMs: number;
  readonly maxMs: number;
  /** With fewer samples in the window nothing is said. */
  readonly minimumSamples: number;
  readonly windowMs: number;
}

export class LearntDuration {
  readonly #options: LearntDurationOptions;
  readonly #durations: RollingPercentile;

  /** @param previous the one before a reload; what it saw counts on, unless the window has another length */
  constructor(options: LearntDurationOptions, previous?: LearntDuration) {
    this.#options = options;
    const before = previous ? previous.#durations : undefined;
    this.#durations =
      before?.windowMs === options.windowMs ? before : new RollingPercentile(options.windowMs);
  }

  /**
   * Something took `ms`, or was given up after it. Quick failures say nothing about how long answers take, and what was
   * given up early would have taken nobody knows how long: they do not count. What was given up as late as the bound, or
   * failed then, would have been at least as slow; were it left out, the bound would shrink by its own doing.
   */
  observe(ms: number, good: boolean, now: number): void {
    if (good || ms >= (this.ms(now) ?? Number.POSITIVE_INFINITY)) this.#durations.add(ms, now);
  }

  /** The bound in milliseconds; undefined while too little was seen. */
  ms(now: number): number | undefined {
    const { percentile, factor, minMs, maxMs, minimumSamples } = this.#options;
    if (this.#durations.size(now) < minimumSamples) return undefined;
    const seen = this.#durations.at(percentile, now);
    return seen === undefined ? undefined : Math.min(maxMs, Math.max(minMs, seen * factor));
  }

  samples(now: number): number {
    return this.#durations.size(now);
  }
}
