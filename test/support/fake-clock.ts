/** A clock that moves only when a test says so. Timers fire in order of their due time, then of their creation. */
import type { Clock, TimerHandle } from '../../src/core/clock.ts';

interface Pending {
  readonly dueAt: number;
  readonly order: number;
  readonly fn: () => void;
}

export class FakeClock implements Clock {
  #now = 1_000;
  #order = 0;
  #pending = new Set<Pending>();
  /** Added to wall time only: durations must not notice. */
  wallOffsetMs = 0;

  now(): number {
    return this.#now;
  }

  wallTime(): Date {
    return new Date(Date.UTC(2026, 0, 1) + this.#now + this.wallOffsetMs);
  }

  wallMs(): number {
    return this.wallTime().getTime();
  }

  setTimer(ms: number, fn: () => void): TimerHandle {
    const timer: Pending = { dueAt: this.#now + Math.max(0, ms), order: this.#order++, fn };
    this.#pending.add(timer);
    return timer as unknown as TimerHandle;
  }

  setBackgroundTimer(ms: number, fn: () => void): TimerHandle {
    return this.setTimer(ms, fn);
  }

  clearTimer(timer: TimerHandle): void {
    this.#pending.delete(timer as unknown as Pending);
  }

  /** Timers that have not fired; a policy that is at rest leaves none. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** Moves time forward, firing what falls due and letting promises settle before and after each timer. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      const next = this.#nextDue(until);
      if (!next) break;
      this.#pending.delete(next);
      this.#now = Math.max(this.#now, next.dueAt);
      next.fn();
      await settle();
    }
    this.#now = until;
    await settle();
  }

  #nextDue(until: number): Pending | undefined {
    let next: Pending | undefined;
    for (const timer of this.#pending) {
      if (timer.dueAt > until) continue;
      if (!next || timer.dueAt < next.dueAt || (timer.dueAt === next.dueAt && timer.order < next.order))
        next = timer;
    }
    return next;
  }
}

/** Lets every promise that can settle without time or I/O do so. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 100; i++) await Promise.resolve();
}
