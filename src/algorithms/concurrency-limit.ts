/** A bound on concurrency that is found out: what all ways to find it have in common. */

/** What one attempt says about the load of its upstream. */
export interface LoadSample {
  /** Monotonic instant at which the attempt began. */
  readonly startedAt: number;
  /** Milliseconds until its response head, or until it failed. The body's length says nothing about load. */
  readonly durationMs: number;
  readonly end:
    /** A good answer. */
    | 'ok'
    /** Timed out, or turned away for load. */
    | 'dropped'
    /** Nobody waited for its end: it would have taken at least so long. */
    | 'abandoned';
}

export interface ConcurrencyLimit {
  /** Whole, at least 1. */
  readonly current: number;
  /** What answers take where load does not slow them down, in milliseconds; undefined where nobody knows or asks. */
  readonly baselineMs: number | undefined;
  /** So many were under way at one moment. A limit that is not used does not grow. */
  used(active: number): void;
  observe(sample: LoadSample, now: number): void;
}

export interface LimitRangeOptions {
  readonly min: number;
  readonly max: number;
}

/** The number itself, within its range. */
export class LimitRange {
  #options: LimitRangeOptions;
  #value: number;
  readonly #onMinimum: () => void;
  #isToldOf = false;

  /** @param onMinimum the limit has come down to the least there is; once, until it has been at twice as much */
  constructor(options: LimitRangeOptions, initial: number, onMinimum: () => void = () => undefined) {
    this.#options = options;
    this.#onMinimum = onMinimum;
    this.#value = this.#clamp(initial);
  }

  /** With its fraction: growth may be less than one at a time. */
  get value(): number {
    return this.#value;
  }

  /** The whole number that counts. Fractions of sums may come out a hair too small. */
  get current(): number {
    return Math.floor(this.#value + 1e-9);
  }

  get isAtMinimum(): boolean {
    return this.current <= this.#options.min;
  }

  reconfigure(options: LimitRangeOptions): void {
    this.#options = options;
    this.#value = this.#clamp(this.#value);
  }

  growBy(amount: number): void {
    this.#value = this.#clamp(this.#value + amount);
    if (this.current >= 2 * this.#options.min) this.#isToldOf = false;
  }

  shrinkTo(share: number): void {
    this.#value = this.#clamp(this.#value * share);
    if (!this.isAtMinimum || this.#isToldOf) return;
    this.#isToldOf = true;
    this.#onMinimum();
  }

  #clamp(value: number): number {
    return Math.max(this.#options.min, Math.min(this.#options.max, value));
  }
}
