/** Each candidate in its turn: the one whose last turn is longest ago, whoever else was a candidate meanwhile. */
import type { Balancer, Candidate, Choice } from '../core/balancer.ts';

/** Names of which is known when they had their turn. Who is forgotten had it longest ago all the same. */
const MAX_NAMES = 10_000;

export class RoundRobin implements Balancer {
  readonly name = 'round-robin';
  /** Number of the last turn by name; the oldest is the first. */
  readonly #turns = new Map<string, number>();
  #turn = 0;

  /** A further try is no turn: else failures would shift everybody's. */
  pick(candidates: readonly Candidate[], { again }: Choice): number {
    let [best, oldest] = [0, Number.POSITIVE_INFINITY];
    for (let i = 0; i < candidates.length; i++) {
      const turn = this.#turns.get((candidates[i] as Candidate).name) ?? 0;
      if (turn < oldest) [best, oldest] = [i, turn];
    }
    if (!again) this.#took((candidates[best] as Candidate).name);
    return best;
  }

  #took(name: string): void {
    this.#turns.delete(name);
    this.#turns.set(name, ++this.#turn);
    const [first] = this.#turns.keys();
    if (this.#turns.size > MAX_NAMES && first !== undefined) this.#turns.delete(first);
  }
}
