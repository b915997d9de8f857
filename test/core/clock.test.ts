import { afterEach, describe, expect, it, vi } from 'vitest';
import { Cancellation } from '../../src/core/cancellation.ts';
import { sleep, systemClock } from '../../src/core/clock.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('sleep', () => {
  it('ends when its time is over, and leaves nothing behind', async () => {
    const clock = new FakeClock();
    const cancellation = new Cancellation();
    const asleep = sleep(clock, 100, cancellation);
    await clock.advance(99);
    expect([clock.pendingTimers, cancellation.listenerCount]).toEqual([1, 1]);
    await clock.advance(1);
    expect(await asleep).toBe('elapsed');
    expect([clock.pendingTimers, cancellation.listenerCount]).toEqual([0, 0]);
  });

  it('ends at once when it is cancelled, and leaves nothing behind', async () => {
    const clock = new FakeClock();
    const cancellation = new Cancellation();
    const asleep = sleep(clock, 100, cancellation);
    cancellation.cancel('client-aborted');
    expect(await asleep).toBe('cancelled');
    expect([clock.pendingTimers, cancellation.listenerCount]).toEqual([0, 0]);
  });

  it('does not begin when it was cancelled before', async () => {
    const clock = new FakeClock();
    const cancellation = new Cancellation();
    cancellation.cancel('client-aborted');
    expect(await sleep(clock, 100, cancellation)).toBe('cancelled');
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('systemClock', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('goes forward, whatever the wall clock does', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 });
    const before = systemClock.now();
    vi.setSystemTime(0);
    expect(systemClock.now()).toBeGreaterThanOrEqual(before);
    expect(systemClock.wallTime().getTime()).toBe(0);
  });

  it.each(['setTimer', 'setBackgroundTimer'] as const)('%s calls once, and not when cleared', (name) => {
    vi.useFakeTimers();
    const calls: string[] = [];
    systemClock[name](50, () => calls.push('kept'));
    const cleared = systemClock[name](50, () => calls.push('cleared'));
    systemClock.clearTimer(cleared);
    vi.advanceTimersByTime(49);
    expect(calls).toEqual([]);
    vi.advanceTimersByTime(1_000);
    expect(calls).toEqual(['kept']);
  });

  it.each([2 ** 31, 1e12, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY])(
    'does not fire at once for %d ms, which is more than Node’s timers can count',
    (ms) => {
      vi.useFakeTimers();
      const calls: string[] = [];
      systemClock.setTimer(ms, () => calls.push('fired'));
      systemClock.setBackgroundTimer(ms, () => calls.push('fired'));
      vi.advanceTimersByTime(24 * 24 * 3_600_000);
      expect(calls).toEqual([]);
    },
  );

  it('tells Node no number that it would warn about and take for 1', () => {
    const real = vi.spyOn(globalThis, 'setTimeout');
    systemClock.clearTimer(systemClock.setTimer(1e12, () => undefined));
    expect(real).toHaveBeenLastCalledWith(expect.any(Function), 2 ** 31 - 1);
    real.mockRestore();
  });
});
