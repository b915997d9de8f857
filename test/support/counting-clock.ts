/** Real time that is counted: what is armed, also the timers that do not keep the process alive and are seen nowhere else. */
import { systemClock } from '../../src/core/clock.ts';
import type { Clock, TimerHandle } from '../../src/core/clock.ts';

export class CountingClock implements Clock {
  readonly armed = new Set<TimerHandle>();

  now(): number {
    return systemClock.now();
  }

  wallTime(): Date {
    return systemClock.wallTime();
  }

  wallMs(): number {
    return systemClock.wallMs();
  }

  setTimer(ms: number, fn: () => void): TimerHandle {
    return this.#armed(fn, (once) => systemClock.setTimer(ms, once));
  }

  setBackgroundTimer(ms: number, fn: () => void): TimerHandle {
    return this.#armed(fn, (once) => systemClock.setBackgroundTimer(ms, once));
  }

  clearTimer(timer: TimerHandle): void {
    this.armed.delete(timer);
    systemClock.clearTimer(timer);
  }

  #armed(fn: () => void, arm: (once: () => void) => TimerHandle): TimerHandle {
    const timer = arm(() => {
      this.armed.delete(timer);
      fn();
    });
    this.armed.add(timer);
    return timer;
  }
}
