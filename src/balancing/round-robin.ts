/** Each candidate in its turn. */
import type { Balancer, Candidate, Choice } from '../core/balancer.ts';

export class RoundRobin implements Balancer {
  readonly name = 'round-robin';
  #turn = 0;

  /** A further try goes on from where the last one was; were it a turn of its own, failures would shift everybody's. */
  pick(candidates: readonly Candidate[], { again }: Choice): number {
    const index = this.#turn % candidates.length;
    if (again) return (index + candidates.length - 1) % candidates.length;
    this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER;
    return index;
  }
}
