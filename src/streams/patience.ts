/** How long some may be made to wait for others, on and off: spent while they wait, regained as fast while they do not. */
import type { Clock, TimerHandle } from '../core/clock.ts';

export class Patience {
  readonly #clock: Clock;
  readonly #maxMs: number;
  readonly #onSpent: () => void;
  #leftMs: number;
  #changedAt: number;
  /** Set while somebody waits. */
  #timer: TimerHandle | undefined;

  /** @param onSpent called when all of it is spent; it is whole again then, and nobody counts as waiting */
  constructor(clock: Clock, maxMs: number, onSpent: () => void) {
    this.#clock = clock;
    this.#maxMs = maxMs;
    this.#onSpent = onSpent;
    this.#leftMs = maxMs;
    this.#changedAt = clock.now();
  }

  /** From now on somebody waits, or nobody does. */
  wait(waiting: boolean): void {
    const timer = this.#timer;
    if (waiting === (timer !== undefined)) return;
    const now = this.#clock.now();
    const passedMs = now - this.#changedAt;
    this.#changedAt = now;
    this.#leftMs = timer ? this.#leftMs - passedMs : Math.min(this.#maxMs, this.#leftMs + passedMs);
    if (timer) this.#clock.clearTimer(timer);
    this.#timer = waiting
      ? this.#clock.setBackgroundTimer(Math.max(0, this.#leftMs), () => this.#spent())
      : undefined;
  }

  #spent(): void {
    this.#timer = undefined;
    this.#changedAt = this.#clock.now();
    this.#leftMs = this.#maxMs;
    this.#onSpent();
  }
}
