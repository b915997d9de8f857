/** One piece of work for many occasions: the first at once, those that follow close upon it together. */
import type { Clock, TimerHandle } from '../core/clock.ts';

/** Rest between two pieces of work: a list of thousands is not made anew for each of a thousand changes. */
const REST_MS = 100;

export class Gathering {
  readonly #clock: Clock;
  readonly #work: () => void;
  #timer: TimerHandle | undefined;
  /** Something happened during the rest. */
  #pending = false;
  #disposed = false;

  constructor(clock: Clock, work: () => void) {
    this.#clock = clock;
    this.#work = work;
  }

  /** Does the work now, or at the end of the rest. */
  occasion(): void {
    this.#pending = true;
    if (!this.#timer) this.flush();
  }

  /** Does what is still to be done now. */
  flush(): void {
    if (!this.#pending || this.#disposed) return;
    this.#pending = false;
    this.#work();
    if (this.#timer) this.#clock.clearTimer(this.#timer);
    this.#timer = this.#clock.setBackgroundTimer(REST_MS, () => {
      this.#timer = undefined;
      this.flush();
    });
  }

  /** For good: what is still to be done is not done. */
  dispose(): void {
    this.#disposed = true;
    if (this.#timer) this.#clock.clearTimer(this.#timer);
  }
}
