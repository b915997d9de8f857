import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PeakEwma } from '../../src/algorithms/peak-ewma.ts';

describe('PeakEwma', () => {
  it('jumps to a peak at once', () => {
    const ewma = new PeakEwma(1_000, 0);
    ewma.observe(50, 0);
    ewma.observe(400, 0);
    expect(ewma.valueAt(0)).toBe(400);
  });

  it('comes down by e in its decay time, towards what is observed', () => {
    const ewma = new PeakEwma(1_000, 0);
    ewma.observe(400, 0);
    ewma.observe(100, 1_000);
    expect(ewma.valueAt(1_000)).toBeCloseTo(400 / Math.E + 100 * (1 - 1 / Math.E));
  });

  it('forgets without news', () => {
    const ewma = new PeakEwma(1_000, 0);
    ewma.observe(400, 0);
    expect(ewma.valueAt(1_000)).toBeCloseTo(400 / Math.E);
    expect(ewma.valueAt(20_000)).toBeLessThan(1e-5);
  });

  it('lies between 0 and the worst that was observed, and never below the newest', () => {
    const steps = fc.array(fc.record({ afterMs: fc.nat(5_000), value: fc.nat(10_000) }), { minLength: 1 });
    fc.assert(
      fc.property(steps, (all) => {
        const ewma = new PeakEwma(1_000, 0);
        let [now, worst] = [0, 0];
        for (const { afterMs, value } of all) {
          now += afterMs;
          worst = Math.max(worst, value);
          ewma.observe(value, now);
          expect(ewma.valueAt(now)).toBeLessThanOrEqual(worst + 1e-9);
          expect(ewma.valueAt(now)).toBeGreaterThanOrEqual(value - 1e-9 - (worst - value) * 1e-9);
        }
      }),
    );
  });
});
