import { describe, expect, it } from 'vitest';
import { seededRandom, systemRandom } from '../../src/core/random.ts';

describe('seededRandom', () => {
  it('gives the same sequence for the same seed, and another for another', () => {
    const take = (seed: number): number[] => {
      const random = seededRandom(seed);
      return Array.from({ length: 20 }, () => random.next());
    };
    expect(take(1)).toEqual(take(1));
    expect(take(1)).not.toEqual(take(2));
  });

  it.each([0, 1, -1, 2 ** 32, Number.MAX_SAFE_INTEGER])('is uniform in [0, 1) from seed %d', (seed) => {
    const random = seededRandom(seed);
    let sum = 0;
    for (let i = 0; i < 5_000; i++) {
      const next = random.next();
      expect(next >= 0 && next < 1).toBe(true);
      sum += next;
    }
    expect(sum / 5_000).toBeCloseTo(0.5, 1);
  });
});

describe('systemRandom', () => {
  it('is in [0, 1)', () => {
    const next = systemRandom.next();
    expect(next >= 0 && next < 1).toBe(true);
  });
});
