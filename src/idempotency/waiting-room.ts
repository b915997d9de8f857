/** Those who wait for the outcome of a run. */
import type { CancelReason, Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import type { RunResult } from './run-result.ts';

interface Waiter {
  readonly cancellation: Cancellation;
  readonly settle: (result: RunResult) => void;
  /** From now on it waits for as long as it takes. */
  readonly unbounded: () => void;
}

export class WaitingRoom {
  readonly #clock: Clock;
  readonly #onEmpty: (why: CancelReason) => void;
  /** In the order in which they came. */
  readonly #waiters = new Set<Waiter>();

  /** @param onEmpty the last one has left, and why */
  constructor(clock: Clock, onEmpty: (why: CancelReason) => void) {
    this.#clock = clock;
    this.#onEmpty = onEmpty;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** Waits until told, for `maxMs` at most (`busy`), and not after `cancellation` (`left`). */
  wait(cancellation: Cancellation, maxMs: number): Promise<RunResult> {
    return new Promise((resolve) => {
      const leave = (why: CancelReason, result: RunResult): void => {
        this.#waiters.delete(waiter);
        waiter.settle(result);
        if (this.#waiters.size === 0) this.#onEmpty(why);
      };
      const onCancel = (why: CancelReason): void => leave(why, { kind: 'left' });
      const timer = this.#clock.setTimer(maxMs, () => leave('client-aborted', { kind: 'busy' }));
      const waiter: Waiter = {
        cancellation,
        settle: (result) => {
          this.#clock.clearTimer(timer);
          cancellation.off(onCancel);
          resolve(result);
        },
        unbounded: () => this.#clock.clearTimer(timer),
      };
      this.#waiters.add(waiter);
      cancellation.onCancel(onCancel);
    });
  }

  /** Who has waited longest waits for as long as it takes. */
  keepFirst(): void {
    const [first] = this.#waiters;
    first?.unbounded();
  }

  /** Tells everyone, and is empty then. */
  tell(resultFor: (cancellation: Cancellation) => RunResult): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const { cancellation, settle } of waiters) settle(resultFor(cancellation));
  }
}
