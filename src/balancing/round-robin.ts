/** Each candidate in its turn. */
import type { Balancer } from '../core/balancer.ts';

export class RoundRobin implements Balancer {
  readonly name = 'round-robin';
  #turn = -1;

  pick(candidates: number): number {
    this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER;
    return this.#turn % candidates;
  }
}
