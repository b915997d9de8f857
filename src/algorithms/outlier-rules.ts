/** When an endpoint is taken out: by what its own calls met, and by what those of its siblings did. */
import { RollingCounts } from './rolling-counts.ts';
import type { Tally } from './rolling-counts.ts';
import { provenDifference, provenShare } from './share-bounds.ts';
import type { Tried } from './share-bounds.ts';

export interface OutlierRules {
  /** Failures in a row; `false`: not a reason. */
  readonly consecutiveFailures: number | false;
  /** Failures in a row to reach it at all. */
  readonly connectFailures: number | false;
  /** Share of calls that is proven to fail, 0–1. */
  readonly failureRatio: number | false;
  /** The same beyond what siblings fail. */
  readonly aboveSiblings: number | false;
  /** Calls in the window below which no share counts. */
  readonly minimumCalls: number;
}

/** `connect`: it cannot be reached. `consecutive`: failures in a row. `ratio`, `siblings`: by the window. */
export type OutlierReason = 'connect' | 'consecutive' | 'ratio' | 'siblings';

const CALLS = 0;
const FAILURES = 1;

/** What the calls to one endpoint met lately. */
export class EndpointHistory {
  readonly windowMs: number;
  readonly #window: RollingCounts;
  /** Failures since the last success. */
  consecutive = 0;
  /** Failures to reach it, with nothing else between. */
  connects = 0;
  /** When a call last succeeded; monotonic. */
  succeededAt = Number.NEGATIVE_INFINITY;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
    this.#window = new RollingCounts(windowMs, 2);
  }

  succeeded(now: number): void {
    this.consecutive = 0;
    this.connects = 0;
    this.succeededAt = now;
    this.#window.add(CALLS, now);
  }

  /** @param reached somebody was there, whatever he did */
  failed(now: number, reached: boolean): void {
    this.consecutive += 1;
    this.connects = reached ? 0 : this.connects + 1;
    this.#window.add(CALLS, now);
    this.#window.add(FAILURES, now);
  }

  /** It answered, and that proves nothing but that it is there. */
  answered(): void {
    this.connects = 0;
  }

  tried(now: number): Tried {
    const totals = this.#window.totals(now);
    return { calls: totals[CALLS] ?? 0, failures: totals[FAILURES] ?? 0 };
  }

  tallies(now: number): Tally[] {
    return this.#window.tallies(now);
  }

  take(tallies: readonly Tally[], now: number): void {
    this.#window.take(tallies, now);
  }

  clear(): void {
    this.#window.clear();
    this.consecutive = 0;
    this.connects = 0;
  }
}

/** @param siblings the sum over the others that are given calls */
export function outlierReason(
  { consecutive, connects }: Pick<EndpointHistory, 'consecutive' | 'connects'>,
  own: Tried,
  siblings: Tried,
  rules: OutlierRules,
): OutlierReason | undefined {
  const { connectFailures, consecutiveFailures, failureRatio, aboveSiblings, minimumCalls } = rules;
  if (connectFailures !== false && connects >= connectFailures) return 'connect';
  if (consecutiveFailures !== false && consecutive >= consecutiveFailures) return 'consecutive';
  if (own.calls < minimumCalls) return undefined;
  if (failureRatio !== false && provenShare(own) >= failureRatio) return 'ratio';
  if (aboveSiblings === false || siblings.calls < minimumCalls) return undefined;
  return provenDifference(own, siblings) >= aboveSiblings ? 'siblings' : undefined;
}
