/** Time, behind one interface, so that tests own it and no duration ever depends on the wall clock. */
import type { Cancellation } from './cancellation.ts';

/** A handle of a pending timer; only the clock that made it knows what is inside. */
export type TimerHandle = { readonly __timer: unique symbol };

export interface Clock {
  /** Milliseconds on a monotonic scale with an arbitrary start. All durations and instants (`…At`) use it. */
  now(): number;
  /** The wall clock, for HTTP dates and log lines only. */
  wallTime(): Date;
  /** The same in milliseconds since 1970. */
  wallMs(): number;
  /** Calls `fn` once after at least `ms` milliseconds, or about 24.8 days where `ms` is more. `ms` ≥ 0. */
  setTimer(ms: number, fn: () => void): TimerHandle;
  /** Like `setTimer`, but the timer does not keep the process alive. For housekeeping. */
  setBackgroundTimer(ms: number, fn: () => void): TimerHandle;
  clearTimer(timer: TimerHandle): void;
}

/** How a sleep ended. */
export type SleepEnd = 'elapsed' | 'cancelled';

/** Waits `ms` milliseconds, or less when `cancellation` comes first. Leaves no timer and no listener behind. */
export function sleep(clock: Clock, ms: number, cancellation: Cancellation): Promise<SleepEnd> {
  if (cancellation.cancelled) return Promise.resolve('cancelled');
  return new Promise((resolve) => {
    const onCancel = (): void => {
      clock.clearTimer(timer);
      resolve('cancelled');
    };
    const timer = clock.setTimer(ms, () => {
      cancellation.off(onCancel);
      resolve('elapsed');
    });
    cancellation.onCancel(onCancel);
  });
}

/** Node's timers count in 32 bits and fire at once beyond that; callers may state any bound. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const timeout = (ms: number, fn: () => void): NodeJS.Timeout => setTimeout(fn, Math.min(ms, MAX_TIMER_MS));

export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => new Date(),
  wallMs: () => Date.now(),
  setTimer: (ms, fn) => timeout(ms, fn) as unknown as TimerHandle,
  setBackgroundTimer: (ms, fn) => timeout(ms, fn).unref() as unknown as TimerHandle,
  clearTimer: (timer) => {
    clearTimeout(timer as unknown as NodeJS.Timeout);
  },
};
