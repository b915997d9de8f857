import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FadingCount } from '../../src/algorithms/fading-count.ts';

describe('FadingCount', () => {
  it('counts each as one when it happens, and as a third one decay time later', () => {
    const count = new FadingCount(1_000, 100, 0);
    count.add(0);
    count.add(0);
    expect(count.valueAt(0)).toBe(2);
    expect(count.valueAt(1_000)).toBeCloseTo(2 / Math.E);
  });

  it('forgets all of it in the end, exactly', () => {
    const count = new FadingCount(1_000, 100, 0);
    for (let i = 0; i < 1_000; i++) count.add(0);
    expect(count.valueAt(0)).toBe(100);
    expect(count.valueAt(8_000)).toBe(0);
  });

  it('is never negative, never above its bound, and never grows by itself, whatever the clock does', () => {
    const steps = fc.array(fc.record({ at: fc.nat(100_000), add: fc.boolean() }), { maxLength: 100 });
    fc.assert(
      fc.property(steps, (all) => {
        const count = new FadingCount(1_000, 20, 0);
        for (const { at, add } of all) {
          const before = count.valueAt(at);
          if (add) count.add(at);
          expect(count.valueAt(at)).toBeLessThanOrEqual(Math.min(20, before + (add ? 1 : 0)) + 1e-9);
          expect(count.valueAt(at)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});
