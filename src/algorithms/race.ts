/**
 * Ways to one outcome that are gone at the same time. The first good outcome is the outcome, and the others are given up
 * and released; where none is good, it is the most telling one, once all have ended.
 */
import { discard } from '../core/outcome.ts';
import type { Outcome } from '../core/outcome.ts';

export interface RaceRules<Racer> {
  /** It ends the race, whoever is still running. */
  isGood(outcome: Outcome): boolean;
  /** Of two that are not good, the higher is kept; of equals, the newer. Asked of both at the time of the newer. */
  rank(outcome: Outcome): number;
  /** Makes a racer end soon; its outcome is released when it comes. */
  giveUp(racer: Racer): void;
  /** Every outcome comes by here, also those that come too late. */
  onOutcome(racer: Racer, outcome: Outcome): void;
  /** Somebody's outcome was good while others ran, or had. */
  onWon(racer: Racer, outcome: Outcome): void;
}

export class Race<Racer> {
  /** Rejects only when a racer does, which is a bug of its. */
  readonly outcome: Promise<Outcome>;
  readonly #rules: RaceRules<Racer>;
  readonly #running = new Set<Racer>();
  #best: Outcome | undefined;
  #over = false;
  #resolve!: (outcome: Outcome) => void;
  #reject!: (error: unknown) => void;

  constructor(rules: RaceRules<Racer>) {
    this.#rules = rules;
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get over(): boolean {
    return this.#over;
  }

  /** Not after the race is over. */
  enter(racer: Racer, pending: Promise<Outcome>): void {
    this.#running.add(racer);
    pending.then(
      (outcome) => this.#ended(racer, outcome),
      (error: unknown) => this.#broke(racer, error),
    );
  }

  #ended(racer: Racer, outcome: Outcome): void {
    this.#running.delete(racer);
    this.#rules.onOutcome(racer, outcome);
    if (this.#over) discard(outcome);
    else if (this.#rules.isGood(outcome)) {
      this.#rules.onWon(racer, outcome);
      if (this.#best) discard(this.#best);
      this.#end(outcome);
    } else {
      const best = this.#moreTelling(outcome);
      if (this.#running.size === 0) this.#end(best);
    }
  }

  #moreTelling(outcome: Outcome): Outcome {
    const best = this.#best;
    const newer = !best || this.#rules.rank(outcome) >= this.#rules.rank(best);
    const released = newer ? best : outcome;
    if (released) discard(released);
    this.#best = newer ? outcome : best;
    return this.#best;
  }

  #end(outcome: Outcome): void {
    this.#over = true;
    for (const racer of this.#running) this.#rules.giveUp(racer);
    this.#resolve(outcome);
  }

  #broke(racer: Racer, error: unknown): void {
    this.#running.delete(racer);
    if (this.#over) return;
    this.#over = true;
    if (this.#best) discard(this.#best);
    for (const other of this.#running) this.#rules.giveUp(other);
    this.#reject(error);
  }
}
