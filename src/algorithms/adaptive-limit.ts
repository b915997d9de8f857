/** A limit of either kind with its range, whose options, and even whose kind, may change while it is in use. */
import { AimdLimit } from './aimd-limit.ts';
import type { AimdOptions } from './aimd-limit.ts';
import { LimitRange } from './concurrency-limit.ts';
import type { ConcurrencyLimit, LimitRangeOptions, LoadSample } from './concurrency-limit.ts';
import { GradientLimit } from './gradient-limit.ts';
import type { GradientOptions } from './gradient-limit.ts';

export interface AdaptiveOptions extends LimitRangeOptions, AimdOptions, GradientOptions {
  readonly algorithm: 'gradient' | 'aimd';
}

export class AdaptiveLimit implements ConcurrencyLimit {
  readonly #range: LimitRange;
  #finder: GradientLimit | AimdLimit;

  /** @param onMinimum see {@link LimitRange} */
  constructor(options: AdaptiveOptions, initial: number, onMinimum: () => void) {
    this.#range = new LimitRange(options, initial, onMinimum);
    this.#finder = finderOf(options, this.#range);
  }

  get current(): number {
    return this.#range.current;
  }

  get algorithm(): AdaptiveOptions['algorithm'] {
    return this.#finder instanceof AimdLimit ? 'aimd' : 'gradient';
  }

  get baselineMs(): number | undefined {
    return this.#finder.baselineMs;
  }

  /** The limit goes on from where it is, within its new range. */
  reconfigure(options: AdaptiveOptions): void {
    this.#range.reconfigure(options);
    if (options.algorithm === this.algorithm) this.#finder.reconfigure(options);
    else this.#finder = finderOf(options, this.#range);
  }

  used(active: number): void {
    this.#finder.used(active);
  }

  observe(sample: LoadSample, now: number): void {
    this.#finder.observe(sample, now);
  }
}

const finderOf = (options: AdaptiveOptions, range: LimitRange): GradientLimit | AimdLimit =>
  options.algorithm === 'aimd' ? new AimdLimit(options, range) : new GradientLimit(options, range);
