import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { provenDifference, provenShare } from '../../src/algorithms/share-bounds.ts';
import type { Tried } from '../../src/algorithms/share-bounds.ts';

const tried = (failures: number, calls: number): Tried => ({ calls, failures });

const someTries = fc
  .integer({ min: 1, max: 500 })
  .chain((calls) => fc.integer({ min: 0, max: calls }).map((failures) => tried(failures, calls)));

describe('provenDifference', () => {
  it.each([
    [tried(56, 70), tried(48, 80), 0.0524],
    [tried(9, 10), tried(3, 10), 0.1705],
    [tried(10, 10), tried(0, 10), 0.6075],
    [tried(5, 56), tried(0, 29), -0.0381],
  ])('%j against %j has the lower limit that Newcombe 1998 prints', (one, others, limit) => {
    expect(provenDifference(one, others, 1.959964)).toBeCloseTo(limit, 4);
  });

  it('proves nothing where one of them had no calls', () => {
    expect(provenDifference(tried(0, 0), tried(0, 9))).toBeLessThan(0);
    expect(provenDifference(tried(9, 9), tried(0, 0))).toBeLessThan(0);
  });

  it('never proves more than was seen, and nothing against one who fails as often', () => {
    fc.assert(
      fc.property(someTries, someTries, (one, others) => {
        const seen = one.failures / one.calls - others.failures / others.calls;
        const proven = provenDifference(one, others);
        expect(proven).toBeLessThanOrEqual(seen + 1e-9);
        if (seen <= 0) expect(proven).toBeLessThanOrEqual(1e-9);
      }),
    );
  });
});

describe('provenShare', () => {
  it('needs more than a few calls to be sure of the worst', () => {
    expect(provenShare(tried(1, 1))).toBeLessThan(0.2);
    expect(provenShare(tried(5, 5))).toBeLessThan(0.5);
    expect(provenShare(tried(7, 7))).toBeGreaterThan(0.5);
    expect(provenShare(tried(900, 1_000))).toBeGreaterThan(0.87);
  });

  it('is nothing without calls or failures', () => {
    expect(provenShare(tried(0, 0))).toBe(0);
    expect(provenShare(tried(0, 100))).toBe(0);
  });

  it('grows with each failure and lies between nothing and what was seen', () => {
    fc.assert(
      fc.property(someTries, (one) => {
        const share = provenShare(one);
        expect(share).toBeGreaterThanOrEqual(0);
        expect(share).toBeLessThanOrEqual(one.failures / one.calls + 1e-9);
        const worse = provenShare(tried(one.failures + 1, one.calls + 1));
        expect(worse).toBeGreaterThanOrEqual(share);
      }),
    );
  });
});
