/**
 * When a circuit opens. Each rule is a cockatiel `IBreaker`, the seam that library offers for this; its own
 * ConsecutiveBreaker is one of them, the windowed ones are ours because its windows do not age (docs/adr/0003).
 */
import { CircuitState } from 'cockatiel';
import type { IBreaker } from 'cockatiel';
import { RollingWindow } from './rolling-window.ts';
import type { Tally } from './rolling-counts.ts';

export interface RatioRuleOptions {
  /** Open when failures reach this share of calls; `false`: never for this. */
  readonly failureRatio: number | false;
  /** Open when slow calls reach this share; `false`: never for this. */
  readonly slowCallRatio: number | false;
  /** Calls in the window below which no share means anything. */
  readonly minimumCalls: number;
  readonly windowMs: number;
  /** Share of a threshold at which the circuit counts as degraded. */
  readonly degradedShare: number;
}

export interface WindowCounts {
  readonly calls: number;
  readonly failures: number;
  readonly slowCalls: number;
}

/** Trips on the share of failures or of slow calls over true time, with a minimum volume. */
export class RatioRule implements IBreaker {
  readonly #options: RatioRuleOptions;
  readonly #window: RollingWindow<'calls' | 'failures' | 'slow'>;
  readonly #now: () => number;

  /** @param previous the rule before a reload; what it counted counts on, unless the window has another length */
  constructor(options: RatioRuleOptions, now: () => number, previous?: RatioRule) {
    this.#options = options;
    this.#now = now;
    this.#window =
      previous && previous.#options.windowMs === options.windowMs
        ? previous.#window
        : new RollingWindow(options.windowMs, ['calls', 'failures', 'slow']);
  }

  /** For cockatiel's serialisation, which is not used. */
  state: unknown = undefined;

  success(state: CircuitState): void {
    if (state === CircuitState.HalfOpen) this.#window.clear();
    else this.#window.add('calls', this.#now());
  }

  failure(state: CircuitState): boolean {
    if (state !== CircuitState.Closed) return false;
    const now = this.#now();
    this.#window.add('calls', now);
    this.#window.add('failures', now);
    return this.#reached(1);
  }

  /**
   * A call that took too long.
   * @param uncounted it was neither a success nor a failure, so that it is not in the window yet
   * @returns true if the circuit should open
   */
  slow(uncounted: boolean): boolean {
    if (uncounted) this.#window.add('calls', this.#now());
    this.#window.add('slow', this.#now());
    return this.#reached(1);
  }

  get degraded(): boolean {
    return this.#reached(this.#options.degradedShare);
  }

  counts(): WindowCounts {
    const now = this.#now();
    return {
      calls: this.#window.total('calls', now),
      failures: this.#window.total('failures', now),
      slowCalls: this.#window.total('slow', now),
    };
  }

  /** Calls, failures and slow calls by time. */
  tallies(): readonly Tally[] {
    return this.#window.tallies(this.#now());
  }

  /** Counts what another rule has counted over a window of the same length. */
  take(tallies: readonly Tally[]): void {
    this.#window.take(tallies, this.#now());
  }

  #reached(share: number): boolean {
    // Asked after every call, and nearly always there is nothing bad in the window at all.
    if (this.#window.atMost('failures') === 0 && this.#window.atMost('slow') === 0) return false;
    const { failureRatio, slowCallRatio, minimumCalls } = this.#options;
    const { calls, failures, slowCalls } = this.counts();
    if (calls < minimumCalls) return false;
    if (failureRatio !== false && failures > 0 && failures >= failureRatio * share * calls) return true;
    return slowCallRatio !== false && slowCalls > 0 && slowCalls >= slowCallRatio * share * calls;
  }
}
