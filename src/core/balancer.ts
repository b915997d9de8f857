/** Chooses among candidates that are equally allowed. One file per algorithm in `balancing/`. */

/** An endpoint as balancers see it. */
export interface Candidate {
  readonly name: string;
  /** > 0; what was configured, less while it starts slowly. */
  readonly weight: number;
  /** Calls under way, bodies included, and failures of late, each as one that is still under way; it fades. */
  readonly active: number;
  /** Expected milliseconds to an answer: a moving average that jumps to peaks, failures penalised. 0: nothing known. */
  readonly latencyMs: number;
}

export interface Choice {
  /** What consistent hashing goes by; undefined where the call has none. */
  readonly key: string | undefined;
  /** A further try of the same exchange; those tried before are no candidates. */
  readonly again: boolean;
}

export interface Balancer {
  readonly name: string;
  /**
   * @param candidates at least 1, always in the same order as long as they are the same
   * @returns an index
   */
  pick(candidates: readonly Candidate[], choice: Choice): number;
}
