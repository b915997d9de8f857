/**
 * A provider with so many workers and a queue before them, in virtual time. It works on what it has taken on to the end,
 * also where nobody waits for it any more, as most servers do: that is how overload feeds on itself.
 */
import type { Attempt } from '../../../src/core/exchange.ts';
import type { Outcome } from '../../../src/core/outcome.ts';
import type { Random } from '../../../src/core/random.ts';
import { seededRandom } from '../../../src/core/random.ts';
import type { FakeClock } from '../../../test/support/fake-clock.ts';
import { cancelledOutcome, respond } from '../../../test/support/policy-kit.ts';
import type { Step } from '../../../test/support/policy-kit.ts';

export interface WorkerProviderOptions {
  readonly workers: number;
  /** Mean time of work on a call, in milliseconds; log-normal. */
  readonly meanWorkMs: number;
  /** Standard deviation of its logarithm. */
  readonly spread: number;
  readonly seed: number;
}

interface Work {
  readonly ms: number;
  readonly done: () => void;
}

export class WorkerProvider {
  readonly #clock: FakeClock;
  readonly #options: WorkerProviderOptions;
  readonly #random: Random;
  #queue: Work[] = [];
  /** Where the queue begins; what is before has been taken out. */
  #head = 0;
  #workers: number;
  #busy = 0;
  /** Attempts that reached it. */
  attempts = 0;
  /** Pieces of work that were finished, and those of them that nobody waited for. */
  worked = 0;
  wasted = 0;

  constructor(clock: FakeClock, options: WorkerProviderOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#workers = options.workers;
    this.#random = seededRandom(options.seed);
  }

  /** It has nothing to do any more. */
  get isIdle(): boolean {
    return this.#busy === 0;
  }

  /** Fewer: those at work finish what they have. */
  set workers(workers: number) {
    this.#workers = workers;
    this.#assign();
  }

  readonly step: Step<Attempt> = (attempt, cancellation): Promise<Outcome> => {
    attempt.phase = 'waiting';
    this.attempts += 1;
    return new Promise((resolve) => {
      let isWanted = true;
      const onCancel = (): void => {
        isWanted = false;
        resolve(cancelledOutcome(cancellation.reason ?? 'client-aborted'));
      };
      const done = (): void => {
        this.worked += 1;
        if (!isWanted) this.wasted += 1;
        cancellation.off(onCancel);
        resolve(respond());
      };
      cancellation.onCancel(onCancel);
      this.#queue.push({ ms: this.#drawWorkMs(), done });
      this.#assign();
    });
  };

  #assign(): void {
    while (this.#busy < this.#workers) {
      const work = this.#queue[this.#head];
      if (!work) break;
      this.#head += 1;
      this.#busy += 1;
      this.#clock.setTimer(work.ms, () => {
        this.#busy -= 1;
        work.done();
        this.#assign();
      });
    }
    if (this.#head < 1_000) return;
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
  }

  /** Box and Muller. */
  #drawWorkMs(): number {
    const { meanWorkMs, spread } = this.#options;
    const [u, v] = [1 - this.#random.next(), this.#random.next()];
    const normal = Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
    return meanWorkMs * Math.exp(spread * normal - (spread * spread) / 2);
  }
}
