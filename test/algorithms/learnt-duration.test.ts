import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LearntDuration } from '../../src/algorithms/learnt-duration.ts';
import type { LearntDurationOptions } from '../../src/algorithms/learnt-duration.ts';

const OPTIONS: LearntDurationOptions = {
  percentile: 0.95,
  factor: 1.5,
  minMs: 50,
  maxMs: 5_000,
  minimumSamples: 20,
  windowMs: 60_000,
};

function learnt(options: Partial<LearntDurationOptions> = {}, ...good: readonly number[]): LearntDuration {
  const duration = new LearntDuration({ ...OPTIONS, ...options });
  for (const ms of good) duration.observe(ms, true, 0);
  return duration;
}

const twenty = (ms: number): number[] => Array.from({ length: 20 }, () => ms);

describe('LearntDuration', () => {
  it('is the percentile times the factor, within a few percent', () => {
    const duration = learnt({}, ...Array.from({ length: 100 }, (_, n) => (n + 1) * 10));
    expect(duration.ms(0)).toBeGreaterThan(950 * 1.5 * 0.975);
    expect(duration.ms(0)).toBeLessThan(950 * 1.5 * 1.025);
  });

  it('is unknown while there are too few samples, and again when they have aged out', () => {
    const duration = learnt({}, ...twenty(100).slice(1));
    expect(duration.ms(0)).toBeUndefined();
    duration.observe(100, true, 0);
    expect(duration.ms(0)).toBeDefined();
    expect(duration.ms(60_000)).toBeUndefined();
    expect(duration.samples(60_000)).toBe(0);
  });

  it('counts what failed or was given up only where that was as late as the bound', () => {
    const duration = learnt({}, ...twenty(100));
    duration.observe(149, false, 0);
    expect(duration.samples(0)).toBe(20);
    duration.observe(155, false, 0);
    expect(duration.samples(0)).toBe(21);
    expect(learnt().samples(0)).toBe(0);
  });

  it('counts no failure while it knows nothing', () => {
    const duration = learnt();
    duration.observe(9_000, false, 0);
    expect(duration.samples(0)).toBe(0);
  });

  it('is never outside its limits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1e7, noNaN: true }), { minLength: 20, maxLength: 60 }),
        (all) => {
          const ms = learnt({}, ...all).ms(0);
          expect(ms).toBeGreaterThanOrEqual(OPTIONS.minMs);
          expect(ms).toBeLessThanOrEqual(OPTIONS.maxMs);
        },
      ),
    );
  });

  it('does not shrink when everything that takes longer is cut off at the bound', () => {
    const duration = learnt({ factor: 1 });
    for (let n = 0; n < 400; n++) {
      const wouldTake = n % 10 === 0 ? 2_000 : 100;
      const bound = duration.ms(0) ?? Number.POSITIVE_INFINITY;
      duration.observe(Math.min(wouldTake, bound), wouldTake <= bound, 0);
    }
    expect(duration.ms(0)).toBeGreaterThan(1_900);
  });

  it('keeps what it saw when its limits change, and begins anew with another window', () => {
    const before = learnt({}, ...twenty(100));
    expect(new LearntDuration({ ...OPTIONS, factor: 3 }, before).ms(0)).toBeCloseTo(2 * (before.ms(0) ?? 0));
    expect(new LearntDuration({ ...OPTIONS, windowMs: 1_000 }, before).samples(0)).toBe(0);
  });
});
