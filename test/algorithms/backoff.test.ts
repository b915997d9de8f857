import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { delays } from '../../src/algorithms/backoff.ts';
import type { BackoffOptions, Jitter } from '../../src/algorithms/backoff.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Random } from '../../src/core/random.ts';

const OPTIONS: BackoffOptions = {
  kind: 'exponential',
  initialMs: 100,
  maxMs: 10_000,
  multiplier: 2,
  jitter: 'none',
  jitterRatio: 0.1,
};

const JITTERS: readonly Jitter[] = ['full', 'equal', 'decorrelated', 'proportional', 'none'];
const LOWEST: Random = { next: () => 0 };
const HIGHEST: Random = { next: () => 1 - Number.EPSILON };

function take(options: Partial<BackoffOptions>, random: Random, count: number): number[] {
  const next = delays({ ...OPTIONS, ...options }, random);
  return Array.from({ length: count }, () => next());
}

const anyOptions = fc.record({
  kind: fc.constantFrom<BackoffOptions['kind']>('exponential', 'constant'),
  initialMs: fc.integer({ min: 0, max: 100_000 }),
  maxMs: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  multiplier: fc.double({ min: 1, max: 10, noNaN: true }),
  jitter: fc.constantFrom<Jitter>(...JITTERS),
  jitterRatio: fc.double({ min: 0, max: 1, noNaN: true }),
});

/** The delay before jitter. */
const plain = ({ kind, initialMs, maxMs, multiplier }: BackoffOptions, n: number): number =>
  Math.min(maxMs, kind === 'constant' ? initialMs : Math.min(Number.MAX_VALUE, initialMs * multiplier ** n));

describe('delays', () => {
  it('is a number between 0 and the cap at every one of a thousand attempts, whatever the options', () => {
    fc.assert(
      fc.property(anyOptions, fc.integer(), (options, seed) => {
        for (const ms of take(options, seededRandom(seed), 1_000)) {
          expect(ms).toBeGreaterThanOrEqual(0);
          expect(ms).toBeLessThanOrEqual(options.maxMs);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('gives the same sequence for the same seed, whatever the options', () => {
    fc.assert(
      fc.property(anyOptions, fc.integer(), (options, seed) => {
        expect(take(options, seededRandom(seed), 20)).toEqual(take(options, seededRandom(seed), 20));
      }),
    );
  });

  it.each(JITTERS.filter((jitter) => jitter !== 'none'))(
    'with %s jitter differs from seed to seed',
    (jitter) => {
      expect(take({ jitter }, seededRandom(1), 5)).not.toEqual(take({ jitter }, seededRandom(2), 5));
    },
  );

  it('without jitter grows by the multiplier until the cap, and never shrinks', () => {
    expect(take({}, LOWEST, 9)).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    expect(take({ multiplier: 1 }, LOWEST, 3)).toEqual([100, 100, 100]);
    expect(take({ multiplier: 10 }, LOWEST, 4)).toEqual([100, 1_000, 10_000, 10_000]);
    fc.assert(
      fc.property(anyOptions, (options) => {
        const all = take({ ...options, jitter: 'none' }, LOWEST, 100);
        all.slice(1).forEach((ms, n) => expect(ms).toBeGreaterThanOrEqual(all[n] ?? 0));
      }),
    );
  });

  it('stays within the bounds of its jitter at every attempt', () => {
    const bounds: Readonly<
      Record<Exclude<Jitter, 'decorrelated'>, (ms: number, ratio: number) => [number, number]>
    > = {
      full: (ms) => [0, ms],
      equal: (ms) => [ms / 2, ms],
      proportional: (ms, ratio) => [ms, ms * (1 + ratio)],
      none: (ms) => [ms, ms],
    };
    fc.assert(
      fc.property(anyOptions, fc.integer(), (options, seed) => {
        if (options.jitter === 'decorrelated') return;
        const within = bounds[options.jitter];
        take(options, seededRandom(seed), 30).forEach((ms, n) => {
          const [low, high] = within(plain(options, n), options.jitterRatio);
          expect(ms).toBeGreaterThanOrEqual(Math.min(options.maxMs, low) * (1 - 1e-9));
          expect(ms).toBeLessThanOrEqual(high * (1 + 1e-9));
        });
      }),
    );
  });

  it('reaches both ends of full and equal jitter', () => {
    expect(take({ jitter: 'full' }, LOWEST, 3)).toEqual([0, 0, 0]);
    expect(take({ jitter: 'full' }, HIGHEST, 3).map(Math.ceil)).toEqual([100, 200, 400]);
    expect(take({ jitter: 'equal' }, LOWEST, 3)).toEqual([50, 100, 200]);
    expect(take({ jitter: 'equal' }, HIGHEST, 3).map(Math.ceil)).toEqual([100, 200, 400]);
  });

  it('with decorrelated jitter is drawn between the first delay and three times the one before', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const all = take({ jitter: 'decorrelated' }, seededRandom(seed), 50);
        all.forEach((ms, n) => {
          const before = n === 0 ? OPTIONS.initialMs : (all[n - 1] ?? 0);
          expect(ms).toBeGreaterThanOrEqual(OPTIONS.initialMs);
          expect(ms).toBeLessThanOrEqual(Math.min(OPTIONS.maxMs, before * 3));
        });
      }),
    );
    expect(take({ jitter: 'decorrelated' }, LOWEST, 3)).toEqual([100, 100, 100]);
    expect(take({ jitter: 'decorrelated' }, HIGHEST, 6).map(Math.ceil)).toEqual([
      300, 900, 2_700, 8_100, 10_000, 10_000,
    ]);
  });

  it('with proportional jitter never exceeds the cap', () => {
    expect(take({ jitter: 'proportional', initialMs: 10_000 }, HIGHEST, 2)).toEqual([10_000, 10_000]);
    expect(take({ jitter: 'proportional', jitterRatio: 0 }, HIGHEST, 2)).toEqual([100, 200]);
  });

  it('stays constant for async work, and takes jitter like any other', () => {
    expect(take({ kind: 'constant', initialMs: 1_000 }, LOWEST, 5)).toEqual([
      1_000, 1_000, 1_000, 1_000, 1_000,
    ]);
    expect(take({ kind: 'constant', initialMs: 1_000, jitter: 'equal' }, LOWEST, 2)).toEqual([500, 500]);
    expect(take({ kind: 'constant', initialMs: 20_000 }, LOWEST, 1)).toEqual([10_000]);
  });

  it('of nothing is nothing', () => {
    for (const jitter of JITTERS)
      expect(take({ initialMs: 0, jitter }, HIGHEST, 1_100).every((ms) => ms === 0)).toBe(true);
  });

  it('with full jitter is spread evenly: half of it lies in the lower half', () => {
    const random = seededRandom(42);
    const low = Array.from({ length: 2_000 }, () => delays({ ...OPTIONS, jitter: 'full' }, random)()).filter(
      (ms) => ms < 50,
    ).length;
    expect(low).toBeGreaterThan(900);
    expect(low).toBeLessThan(1_100);
  });

  it('keeps the sequences of two exchanges apart', () => {
    const [left, right] = [delays(OPTIONS, LOWEST), delays(OPTIONS, LOWEST)];
    expect([left(), left(), right(), left(), right()]).toEqual([100, 200, 100, 400, 200]);
  });
});
