import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MOST_DEBT_BURSTS, chargedAt, levelAt } from '../../src/algorithms/gcra.ts';

const SIZE = { burst: 10, ratePerSecond: 5 };

describe('the generic cell rate algorithm', () => {
  it('has a full bucket at first, and again once enough time has passed', () => {
    expect(levelAt(undefined, SIZE, 10, 1_000)).toEqual({ remaining: 10, waitMs: 0 });
    const fullAt = chargedAt(undefined, SIZE, 10, 1_000);
    expect(fullAt).toBe(3_000);
    expect(levelAt(fullAt, SIZE, 1, 1_000)).toEqual({ remaining: 0, waitMs: 200 });
    expect(levelAt(fullAt, SIZE, 1, 1_200)).toEqual({ remaining: 1, waitMs: 0 });
    expect(levelAt(fullAt, SIZE, 10, 9_000)).toEqual({ remaining: 10, waitMs: 0 });
  });

  it('lets in what costs more than a full bucket when it is full, and owes the rest', () => {
    expect(levelAt(undefined, SIZE, 25, 0).waitMs).toBe(0);
    const fullAt = chargedAt(undefined, SIZE, 25, 0);
    expect(levelAt(fullAt, SIZE, 1, 0)).toEqual({ remaining: -15, waitMs: 3_200 });
  });

  it('never holds more than a burst, however much is given back', () => {
    const fullAt = chargedAt(chargedAt(undefined, SIZE, 3, 0), SIZE, -50, 0);
    expect(levelAt(fullAt, SIZE, 1, 0).remaining).toBe(10);
  });

  it('never owes more than some bursts, however much a call is said to have cost', () => {
    const fullAt = chargedAt(undefined, SIZE, Number.MAX_SAFE_INTEGER, 0);
    expect(levelAt(fullAt, SIZE, 1, 0).remaining).toBe(-10 * MOST_DEBT_BURSTS);
  });

  it('lets in a whole burst of fractions, whatever their sum is in binary', () => {
    let fullAt: number | undefined;
    for (let i = 0; i < 100; i++) {
      expect(levelAt(fullAt, SIZE, 0.1, 123_456.789).waitMs).toBe(0);
      fullAt = chargedAt(fullAt, SIZE, 0.1, 123_456.789);
    }
    expect(levelAt(fullAt, SIZE, 0.1, 123_456.789).waitMs).toBeGreaterThan(0);
  });

  it('admits at the instant that it named, and not a millisecond before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.double({ min: 0.01, max: 10, noNaN: true }),
        (rate, cost) => {
          const size = { burst: 10, ratePerSecond: rate };
          const fullAt = chargedAt(undefined, size, 10, 0);
          const { waitMs } = levelAt(fullAt, size, cost, 0);
          expect(levelAt(fullAt, size, cost, waitMs).waitMs).toBe(0);
          if (waitMs > 1) expect(levelAt(fullAt, size, cost, waitMs - 1).waitMs).toBeGreaterThan(0);
        },
      ),
    );
  });
});
