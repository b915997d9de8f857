/**
 * How many of its calls a client should keep to itself while most of them are turned away: so many that what it sends is
 * about `multiplier` times what is accepted. What it keeps to itself counts as asked for, so that the share grows for as
 * long as the demand does, and some calls always go and find out.
 * @see Beyer et al., "Site Reliability Engineering", 2016, chapter 21, client-side throttling
 */
import { RollingWindow } from './rolling-window.ts';

export interface AcceptRatioOptions {
  /** Calls sent for each one accepted, at least 1. 2: half of what is sent may be turned away. */
  readonly multiplier: number;
  /** Calls in the window below which nothing is kept back. */
  readonly minimumRequests: number;
  /** Length of the window in milliseconds. */
  readonly windowMs: number;
}

export class AcceptRatio {
  readonly #options: AcceptRatioOptions;
  readonly #window: RollingWindow<'requests' | 'accepts'>;

  /** @param previous the same before a reload; what it counted counts on, unless the window has another length */
  constructor(options: AcceptRatioOptions, previous?: AcceptRatio) {
    this.#options = options;
    this.#window =
      previous && previous.#options.windowMs === options.windowMs
        ? previous.#window
        : new RollingWindow(options.windowMs, ['requests', 'accepts']);
  }

  /** A call was sent and taken on. */
  accepted(now: number): void {
    this.#window.add('requests', now);
    this.#window.add('accepts', now);
  }

  /** A call was turned away: by whom it was sent to, or here. */
  refused(now: number): void {
    this.#window.add('requests', now);
  }

  counts(now: number): { readonly requests: number; readonly accepts: number } {
    return {
      requests: this.#window.total('requests', now),
      accepts: this.#window.total('accepts', now),
    };
  }

  /** Share of calls not to send, in [0, 1). */
  rejectionProbability(now: number): number {
    const { requests, accepts } = this.counts(now);
    const { multiplier, minimumRequests } = this.#options;
    if (requests < minimumRequests) return 0;
    return Math.max(0, (requests - multiplier * accepts) / (requests + 1));
  }
}
