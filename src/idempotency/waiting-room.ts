/** Those who wait for the outcome of a run. */
import type { CancelReason, Cancellation } from '../core/cancellation.ts';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { RunResult } from './run-result.ts';

interface Waiter {
  readonly cancellation: Cancellation;
  readonly settle: (result: RunResult) => void;
  /** From now on it waits for so many milliseconds, unless it has a bound already. */
  readonly bound: (maxMs: number) => void;
  /** From now on it waits for as long as it takes. */
  readonly unbound: () => void;
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

  /** Waits until told, for `maxMs` at most (`busy`) where there is such a bound, and not after `cancellation` (`left`). */
  wait(cancellation: Cancellation, maxMs?: number): Promise<RunResult> {
    return new Promise((resolve) => {
      let timer: TimerHandle | undefined;
      const leave = (why: CancelReason, result: RunResult): void => {
        this.#waiters.delete(waiter);
        waiter.settle(result);
        if (this.#waiters.size === 0) this.#onEmpty(why);
      };
      const onCancel = (why: CancelReason): void => leave(why, { kind: 'left' });
      const tooLong = (): void => leave('client-aborted', { kind: 'busy' });
      const unbound = (): void => {
        if (timer) this.#clock.clearTimer(timer);
        timer = undefined;
      };
      const waiter: Waiter = {
        cancellation,
        settle: (result) => {
          unbound();
          cancellation.off(onCancel);
          resolve(result);
        },
        bound: (ms) => (timer ??= this.#clock.setTimer(ms, tooLong)),
        unbound,
      };
      if (maxMs !== undefined) waiter.bound(maxMs);
      this.#waiters.add(waiter);
      cancellation.onCancel(onCancel);
    });
  }

  /** Who has waited longest waits for so long from now on, where it has no bound yet. */
  boundFirst(maxMs: number): void {
    const [first] = this.#waiters;
    first?.bound(maxMs);
  }

  /** Who has waited longest waits for as long as it takes. */
  keepFirst(): void {
    const [first] = this.#waiters;
    first?.unbound();
  }

  /** Tells everyone, and is empty then. */
  tell(resultFor: (cancellation: Cancellation) => RunResult): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const { cancellation, settle } of waiters) settle(resultFor(cancellation));
  }
}
