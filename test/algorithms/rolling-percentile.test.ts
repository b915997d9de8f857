import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RollingPercentile } from '../../src/algorithms/rolling-percentile.ts';

const ERROR = 0.025;

/** What the percentile promises, the slow way: the sample of that rank. */
function exact(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
}

const durations = fc.array(
  fc.oneof(
    fc.double({ min: 0.1, max: 3_600_000, noNaN: true }),
    fc.double({ min: 1, max: 50, noNaN: true }),
    fc.constantFrom(0.1, 1, 250, 1_000, 3_600_000),
  ),
  { minLength: 1, maxLength: 300 },
);
const share = fc.constantFrom(0.5, 0.75, 0.9, 0.95, 0.99, 0.999);

describe('RollingPercentile', () => {
  it('is within 2.5 % of the sample of that rank, whatever the samples', () => {
    fc.assert(
      fc.property(durations, share, (samples, wanted) => {
        const percentile = new RollingPercentile(60_000);
        for (const ms of samples) percentile.add(ms, 5_000);
        const truth = exact(samples, wanted);
        const said = percentile.at(wanted, 5_000) ?? Number.NaN;
        expect(Math.abs(said - truth)).toBeLessThanOrEqual(truth * ERROR);
      }),
      { numRuns: 500 },
    );
  });

  it('knows of what the window covers and of nothing else', () => {
    const timed = fc.array(
      fc.record({
        waitMs: fc.integer({ min: 0, max: 30_000 }),
        ms: fc.double({ min: 1, max: 9_000, noNaN: true }),
      }),
      { minLength: 1, maxLength: 80 },
    );
    fc.assert(
      fc.property(timed, share, (steps, wanted) => {
        const percentile = new RollingPercentile(60_000);
        const added: { at: number; ms: number }[] = [];
        let now = -20_000;
        for (const { waitMs, ms } of steps) {
          now += waitMs;
          percentile.add(ms, now);
          added.push({ at: now, ms });
          const oldest = Math.floor(now / 6_000) - 9;
          const inside = added.filter(({ at }) => Math.floor(at / 6_000) >= oldest).map((one) => one.ms);
          expect(percentile.size(now)).toBe(inside.length);
          const truth = exact(inside, wanted);
          expect(Math.abs((percentile.at(wanted, now) ?? 0) - truth)).toBeLessThanOrEqual(truth * ERROR);
        }
      }),
    );
  });

  it('says nothing without samples, also when they have aged out', () => {
    const percentile = new RollingPercentile(1_000);
    expect(percentile.at(0.95, 0)).toBeUndefined();
    percentile.add(10, 0);
    expect(percentile.at(0.95, 0)).toBeDefined();
    expect(percentile.at(0.95, 1_000)).toBeUndefined();
    expect(percentile.size(1_000)).toBe(0);
  });

  it.each([
    [0, 0.1],
    [0.001, 0.1],
    [1e12, 3_600_000],
    [Number.POSITIVE_INFINITY, 3_600_000],
  ])('takes %d ms for %d', (ms, as) => {
    const percentile = new RollingPercentile(1_000);
    percentile.add(ms, 0);
    expect(Math.abs((percentile.at(0.5, 0) ?? 0) - as) / as).toBeLessThanOrEqual(ERROR);
  });
});
