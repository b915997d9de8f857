/** Chooses among candidates that are equally allowed. One file per algorithm in `balancing/`. */
export interface Balancer {
  readonly name: string;
  /** @returns an index from 0 to `candidates` − 1; `candidates` ≥ 1 */
  pick(candidates: number): number;
}
