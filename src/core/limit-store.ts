/** Buckets of tokens by name, wherever they are kept: in this process, or in a place that several sidecars share. */

/** So many tokens per time, with room for a burst. */
export interface BucketSize {
  /** Tokens that a full bucket holds; above 0. */
  readonly burst: number;
  /** Tokens that come back each second; above 0. */
  readonly ratePerSecond: number;
}

/** What a call takes from one bucket. */
export interface Charge {
  /** Names the bucket within its store. */
  readonly key: string;
  readonly size: BucketSize;
  /**
   * Tokens, at least 0; fractions are fine. A call that costs more than a full bucket holds gets in when it is full, and
   * leaves it in debt.
   */
  readonly cost: number;
}

/** How one bucket stands. */
export interface Level {
  /** Tokens left; below 0 in debt. */
  readonly remaining: number;
  /** Milliseconds until the charge would have fitted; 0 where it does. */
  readonly waitMs: number;
}

export interface Decision {
  readonly admitted: boolean;
  /** Of each charge, in order: after it was taken, or as it is where it was not. */
  readonly levels: readonly Level[];
  /** Which store decided, and must be told of adjustments. `local`: this process. */
  readonly by: 'local' | 'shared';
}

export interface LimitStore {
  /**
   * Takes all charges or none, atomically. Never throws or rejects: a store that cannot be reached is no reason to fail,
   * this process decides then. Not a promise where nobody else must be asked.
   */
  take(charges: readonly Charge[]): Decision | Promise<Decision>;
  /**
   * Corrects what was taken: `cost` above 0 takes more, into debt if need be; below 0 gives back, up to a full bucket.
   *
   * @param by who decided
   */
  adjust(charges: readonly Charge[], by: Decision['by']): void;
}
