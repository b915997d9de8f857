/** Each candidate in its turn. */
import type { Balancer } from '../core/balancer.ts';

export class RoundRobin implements Balancer {
  readonly name = 'round-robin';
  #turn = -1;

  pick(candidates: number, tried: readonly number[]): number {
    const last = tried.at(-1);
    if (last !== undefined) return nextUntried(last, candidates, tried);
    this.#turn = (this.#turn + 1) % candidates;
    return this.#turn;
  }
}

/** Another try goes on from where the last one was; were it a turn of its own, failures would shift everybody's turns. */
function nextUntried(last: number, candidates: number, tried: readonly number[]): number {
  for (let step = 1; step < candidates; step++) {
    const index = (last + step) % candidates;
    if (!tried.includes(index)) return index;
  }
  return (last + 1) % candidates;
}
