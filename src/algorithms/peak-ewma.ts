/**
 * A moving average that believes bad news at once and good news slowly: it jumps to a peak and decays from there, so that
 * an endpoint that slows down loses traffic with the first slow answer.
 * @see the peak EWMA of Finagle's load balancers (Twitter, 2015).
 */
export class PeakEwma {
  /** Time in which a value loses all but 1/e of its weight, in milliseconds > 0. */
  readonly #decayMs: number;
  #value = 0;
  #at: number;

  constructor(decayMs: number, now: number) {
    this.#decayMs = decayMs;
    this.#at = now;
  }

  observe(value: number, now: number): void {
    const faded = this.#fade(now);
    this.#value = value >= this.#value ? value : this.#value * faded + value * (1 - faded);
    this.#at = now;
  }

  /** What is left of it: without news it fades, so that one who was slow is tried again. 0: nothing known. */
  valueAt(now: number): number {
    return this.#value * this.#fade(now);
  }

  /** 1 for no time, towards 0. */
  #fade(now: number): number {
    return Math.exp(-Math.max(0, now - this.#at) / this.#decayMs);
  }
}
