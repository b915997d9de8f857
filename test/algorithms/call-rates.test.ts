import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallRatesWindow } from '../../src/algorithms/call-rates.ts';

const MINUTE = 60_000;

/** So many calls a second, at even intervals, from one instant to the other. */
function play(
  window: CallRatesWindow,
  perSecond: number,
  fromMs: number,
  toMs: number,
  failed = false,
): void {
  for (let now = fromMs; now < toMs; now += 1_000 / perSecond) {
    window.begun(now);
    window.ended(30, failed, now);
  }
}

describe('CallRatesWindow', () => {
  it('says how many calls there are a second, from the first seconds on', () => {
    const window = new CallRatesWindow(MINUTE, 500);
    play(window, 20, 500, 3_500);
    expect(window.rates(3_500).callsPerSecond).toBeCloseTo(20, 0);
    play(window, 20, 3_500, 5 * MINUTE);
    expect(window.rates(5 * MINUTE).callsPerSecond).toBeCloseTo(20, 0);
  });

  it('does not make a storm of the first call', () => {
    const window = new CallRatesWindow(MINUTE, 0);
    window.begun(1);
    expect(window.rates(1).callsPerSecond).toBe(1);
  });

  it('tells failures apart, and how long good answers take', () => {
    const window = new CallRatesWindow(MINUTE, 0);
    play(window, 10, 0, 60_000);
    play(window, 5, 0, 60_000, true);
    const { callsPerSecond, failuresPerSecond, meanLatencyMs } = window.rates(60_000 - 1);
    expect([callsPerSecond, failuresPerSecond].map(Math.round)).toEqual([15, 5]);
    expect(meanLatencyMs).toBeCloseTo(30);
  });

  it('forgets', () => {
    const window = new CallRatesWindow(MINUTE, 0);
    play(window, 10, 0, 60_000);
    expect(window.rates(3 * MINUTE)).toEqual({
      callsPerSecond: 0,
      failuresPerSecond: 0,
      meanLatencyMs: undefined,
    });
  });

  it('is a finite number, not below 0, whenever it is asked', () => {
    const steps = fc.array(fc.record({ afterMs: fc.nat(30_000), failed: fc.boolean() }), { maxLength: 60 });
    fc.assert(
      fc.property(steps, fc.integer({ min: -100_000, max: 100_000 }), (all, start) => {
        const window = new CallRatesWindow(10_000, start);
        let now = start;
        for (const { afterMs, failed } of all) {
          now += afterMs;
          window.begun(now);
          window.ended(1, failed, now);
          const { callsPerSecond, failuresPerSecond } = window.rates(now);
          expect(callsPerSecond).toBeGreaterThan(0);
          expect(failuresPerSecond).toBeGreaterThanOrEqual(failed ? Number.MIN_VALUE : 0);
          expect(Number.isFinite(callsPerSecond)).toBe(true);
        }
      }),
    );
  });
});
