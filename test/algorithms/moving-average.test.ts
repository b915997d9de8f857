import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MovingAverage } from '../../src/algorithms/moving-average.ts';

const averageOf = (values: readonly number[], weight = 0.1): number | undefined => {
  const average = new MovingAverage(weight);
  for (const value of values) average.add(value);
  return average.value;
};

describe('MovingAverage', () => {
  it('knows nothing before the first value, and then that', () => {
    expect(averageOf([])).toBeUndefined();
    expect(averageOf([7])).toBe(7);
  });

  it('averages the first values evenly', () => {
    expect(averageOf([1, 2, 6])).toBeCloseTo(3);
  });

  it('lies between the least and the greatest', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1 }), (values) => {
        const average = averageOf(values) ?? Number.NaN;
        expect(average).toBeGreaterThanOrEqual(Math.min(...values) - 1e-6);
        expect(average).toBeLessThanOrEqual(Math.max(...values) + 1e-6);
      }),
    );
  });

  it('comes to a value that stays', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000)), fc.nat(1_000), (before, value) => {
        const average = averageOf([...before, ...Array.from({ length: 300 }, () => value)]);
        expect(average).toBeCloseTo(value, 3);
      }),
    );
  });
});
