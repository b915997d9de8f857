/** Chooses among candidates that are equally allowed. One file per algorithm in `balancing/`. */
export interface Balancer {
  readonly name: string;
  /**
   * @param candidates how many there are; at least 1
   * @param tried indexes that this exchange has tried already, or is trying now, in order; they are avoided while there
   *   are others, and the last of them even then
   * @returns an index from 0 to `candidates` − 1
   */
  pick(candidates: number, tried: readonly number[]): number;
}
