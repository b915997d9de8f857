/** How well an upstream does of late, as one number: from 1, nothing amiss, to 0. */
import type { Tally } from './rolling-counts.ts';
import { RollingWindow } from './rolling-window.ts';

export interface CallHealthOptions {
  /** Length of the window in milliseconds. */
  readonly windowMs: number;
  /** With fewer calls in the window it is 1. */
  readonly minimumCalls: number;
  /** What counts in full; half of it counts by half. Each > 0. */
  readonly full: {
    /** Share of calls that failed. */
    readonly errorRatio: number;
    /** Mean time to the answer's head, or to the failure, in milliseconds. */
    readonly latencyMs: number;
    /** Timeouts within the window. */
    readonly timeouts: number;
  };
  /** What each takes from health at most; together they count as 1, whatever their sum. */
  readonly weights: { readonly errors: number; readonly latency: number; readonly timeouts: number };
}

export interface EndedCall {
  readonly failed: boolean;
  /** It failed because a timer ran out. */
  readonly timedOut: boolean;
  /** Undefined where nobody knows: then it says nothing of latency. */
  readonly latencyMs: number | undefined;
}

type Counter = 'calls' | 'errors' | 'timeouts' | 'timed' | 'latencyMs';
const COUNTERS: readonly Counter[] = ['calls', 'errors', 'timeouts', 'timed', 'latencyMs'];

const shareOf = (value: number, full: number): number => Math.min(1, value / full);

export class CallHealth {
  readonly #options: CallHealthOptions;
  readonly #window: RollingWindow<Counter>;

  /** @param previous what was seen before a reload; it counts on, unless the window has another length */
  constructor(options: CallHealthOptions, previous?: CallHealth) {
    this.#options = options;
    this.#window =
      previous && previous.#options.windowMs === options.windowMs
        ? previous.#window
        : new RollingWindow(options.windowMs, COUNTERS);
  }

  record({ failed, timedOut, latencyMs }: EndedCall, now: number): void {
    this.#window.add('calls', now);
    if (failed) this.#window.add('errors', now);
    if (timedOut) this.#window.add('timeouts', now);
    if (latencyMs === undefined) return;
    this.#window.add('timed', now);
    // Whole milliseconds, as what is saved.
    this.#window.add('latencyMs', now, Math.round(latencyMs));
  }

  /** 0 to 1 over the window that ends now. */
  score(now: number): number {
    const { full, weights, minimumCalls } = this.#options;
    const total = (counter: Counter): number => this.#window.total(counter, now);
    const calls = total('calls');
    if (calls === 0 || calls < minimumCalls) return 1;
    const mean = total('latencyMs') / Math.max(1, total('timed'));
    const amiss =
      weights.errors * shareOf(total('errors') / calls, full.errorRatio) +
      weights.latency * shareOf(mean, full.latencyMs) +
      weights.timeouts * shareOf(total('timeouts'), full.timeouts);
    const most = weights.errors + weights.latency + weights.timeouts;
    return most > 0 ? 1 - amiss / most : 1;
  }

  /** What was seen by time, oldest first. */
  tallies(now: number): readonly Tally[] {
    return this.#window.tallies(now);
  }

  /** Counts what another one has seen over a window of the same length. */
  take(tallies: readonly Tally[], now: number): void {
    this.#window.take(tallies, now);
  }
}
