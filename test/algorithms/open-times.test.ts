import type { IBackoff } from 'cockatiel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openTimes } from '../../src/algorithms/open-times.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Random } from '../../src/core/random.ts';

function take(options: { stepMs: number; maxMs: number }, random: Random, count: number): number[] {
  const factory = openTimes(options, random);
  let step: IBackoff<undefined> | undefined;
  return Array.from({ length: count }, () => {
    step = (step ?? factory).next(undefined);
    return step.duration;
  });
}

describe('openTimes', () => {
  it('grows by one step with every opening in a row, up to its cap', () => {
    const times = take({ stepMs: 15_000, maxMs: 60_000 }, { next: () => 0 }, 6);
    expect(times).toEqual([15_000, 30_000, 45_000, 60_000, 60_000, 60_000]);
  });

  it('is lengthened by up to a tenth, never shortened, whatever the options', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.integer(),
        (stepMs, maxMs, seed) => {
          take({ stepMs, maxMs }, seededRandom(seed), 100).forEach((ms, n) => {
            const plain = Math.min(maxMs, (n + 1) * stepMs);
            expect(ms).toBeGreaterThanOrEqual(plain);
            expect(ms).toBeLessThanOrEqual(plain * 1.1);
          });
        },
      ),
    );
  });

  it('gives the same times for the same seed, and others for another', () => {
    const options = { stepMs: 15_000, maxMs: 300_000 };
    expect(take(options, seededRandom(1), 9)).toEqual(take(options, seededRandom(1), 9));
    expect(take(options, seededRandom(1), 9)).not.toEqual(take(options, seededRandom(2), 9));
  });

  it('starts anew from the factory: circuits do not share their steps', () => {
    const factory = openTimes({ stepMs: 10, maxMs: 100 }, { next: () => 0 });
    const first = factory.next(undefined);
    expect(first.next(undefined).duration).toBe(20);
    expect(factory.next(undefined).duration).toBe(10);
  });

  it('is bounded after a thousand openings', () => {
    expect(take({ stepMs: 15_000, maxMs: 300_000 }, { next: () => 0 }, 1_000).at(-1)).toBe(300_000);
  });
});
