/**
 * How many retries the recent traffic can bear: a share of its requests, and a floor so that quiet upstreams may retry
 * at all. In an outage it bounds the extra load to that share, however many clients fail at once.
 * @see Finagle, `RetryBudget`; tower, `retry::budget`
 */
import { RollingWindow } from './rolling-window.ts';
import type { Tally } from './rolling-counts.ts';

export interface RetryBudgetOptions {
  /** Retries per request that are allowed over the window, 0 to 1. */
  readonly ratio: number;
  /** Retries that are allowed in every window whatever the traffic. */
  readonly floor: number;
  /** Length of the window in milliseconds. */
  readonly windowMs: number;
}

export class RetryBudget {
  readonly #options: RetryBudgetOptions;
  readonly #window: RollingWindow<'requests' | 'retries'>;

  /** @param previous the budget before a reload; what it counted counts on, unless the window has another length */
  constructor(options: RetryBudgetOptions, previous?: RetryBudget) {
    this.#options = options;
    this.#window =
      previous && previous.#options.windowMs === options.windowMs
        ? previous.#window
        : new RollingWindow(options.windowMs, ['requests', 'retries']);
  }

  /** A new request came: it earns its share of a retry. */
  deposit(now: number): void {
    this.#window.add('requests', now);
  }

  /** @returns true and takes one retry, or false when the budget is used up */
  withdraw(now: number): boolean {
    if (this.remaining(now) < 1) return false;
    this.#window.add('retries', now);
    return true;
  }

  /** One that was taken at `takenAt` has not been made after all. */
  giveBack(takenAt: number, now: number): void {
    this.#window.takeBack('retries', takenAt, now);
  }

  /** A retry that somebody else made: it cannot be refused, but leaves less for us. */
  spend(now: number): void {
    this.#window.add('retries', now);
  }

  /** Requests and retries by time. */
  tallies(now: number): readonly Tally[] {
    return this.#window.tallies(now);
  }

  /** Counts what another budget has counted over a window of the same length. */
  take(tallies: readonly Tally[], now: number): void {
    this.#window.take(tallies, now);
  }

  /** Retries that could be made right now; not negative. */
  remaining(now: number): number {
    const { ratio, floor } = this.#options;
    const allowed = floor + ratio * this.#window.total('requests', now);
    return Math.max(0, Math.floor(allowed + 1e-9) - this.#window.total('retries', now));
  }
}
