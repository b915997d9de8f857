/** How many calls there were of late, how many failed, and how long answers took: over a window, per second. */
import { RollingCounts } from './rolling-counts.ts';

export interface CallRates {
  readonly callsPerSecond: number;
  /** Of the calls that were judged in the window; those that say nothing of the endpoint are neither. */
  readonly failuresPerSecond: number;
  /** Milliseconds to the head of a good answer, on average; undefined where there was none. */
  readonly meanLatencyMs: number | undefined;
}

const [BEGUN, FAILED, ANSWERED, DURATION] = [0, 1, 2, 3];

export class CallRatesWindow {
  readonly #windowMs: number;
  readonly #counts: RollingCounts;
  readonly #since: number;

  /** @param windowMs > 0; exact to a tenth */
  constructor(windowMs: number, now: number) {
    this.#windowMs = windowMs;
    this.#counts = new RollingCounts(windowMs, 4);
    this.#since = now;
  }

  begun(now: number): void {
    this.#counts.add(BEGUN, now);
  }

  ended(durationMs: number, failed: boolean, now: number): void {
    if (failed) return this.#counts.add(FAILED, now);
    this.#counts.add(ANSWERED, now);
    this.#counts.add(DURATION, now, durationMs);
  }

  rates(now: number): CallRates {
    const totals = this.#counts.totals(now);
    const [begun = 0, failed = 0, answered = 0, durations = 0] = totals;
    const seconds = this.#coveredMs(now) / 1_000;
    return {
      callsPerSecond: begun / seconds,
      failuresPerSecond: failed / seconds,
      meanLatencyMs: answered === 0 ? undefined : durations / answered,
    };
  }

  /** The newest tenth is still filling; and what is younger than a window, but a second at least, has not seen one. */
  #coveredMs(now: number): number {
    const tenth = this.#windowMs / 10;
    const covered = this.#windowMs - tenth + (now - Math.floor(now / tenth) * tenth);
    return Math.max(Math.min(covered, now - this.#since), Math.min(1_000, this.#windowMs));
  }
}
