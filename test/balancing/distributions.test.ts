/** What the books say of balancers, beyond equal shares: how uneven chance is, what weights do, who moves. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConsistentHash } from '../../src/balancing/consistent-hash.ts';
import { LeastRequest } from '../../src/balancing/least-request.ts';
import { PeakEwmaBalancer } from '../../src/balancing/peak-ewma.ts';
import { RandomChoice } from '../../src/balancing/random.ts';
import { RoundRobin } from '../../src/balancing/round-robin.ts';
import { WeightedRoundRobin } from '../../src/balancing/weighted-round-robin.ts';
import type { Balancer, Candidate } from '../../src/core/balancer.ts';
import { seededRandom } from '../../src/core/random.ts';

const FIRST = { key: undefined, again: false };

const weighing = (weights: readonly number[]): Candidate[] =>
  weights.map((weight, i) => ({ name: `e${i}`, weight, active: 0, latencyMs: 0 }));

/** Throws balls into bins that keep them; how many more than the average the fullest has. */
function gapOf(balancer: Balancer, bins: number, balls: number): number {
  const candidates = Array.from({ length: bins }, (_, i) => ({
    name: `e${i}`,
    weight: 1,
    active: 0,
    latencyMs: 10,
  }));
  for (let i = 0; i < balls; i++)
    (candidates[balancer.pick(candidates, FIRST)] as { active: number }).active += 1;
  return Math.max(...candidates.map(({ active }) => active)) - balls / bins;
}

describe('the power of two choices', () => {
  // Berenbrink, Czumaj, Steger, Vöcking, "Balanced Allocations: The Heavily Loaded Case", 2000: ln ln n / ln 2 + O(1).
  it.each([1, 2, 3])('keeps the fullest of a hundred within a few calls of the average (seed %i)', (seed) => {
    expect(gapOf(new LeastRequest(seededRandom(seed)), 100, 10_000)).toBeLessThanOrEqual(4);
    expect(gapOf(new PeakEwmaBalancer(seededRandom(seed)), 100, 10_000)).toBeLessThanOrEqual(4);
    expect(gapOf(new RandomChoice(seededRandom(seed)), 100, 10_000)).toBeGreaterThan(15);
  });
});

describe('least-request with weights', () => {
  const shareOf = (weights: readonly number[], answered: boolean): number[] => {
    const balancer = new LeastRequest(seededRandom(4));
    const candidates = weighing(weights) as { active: number }[];
    const counts = weights.map(() => 0);
    for (let i = 0; i < 20_000; i++) {
      const index = balancer.pick(candidates as unknown as Candidate[]);
      counts[index] = (counts[index] ?? 0) + 1;
      if (!answered) (candidates[index] as { active: number }).active += 1;
    }
    return counts.map((count) => count / 20_000);
  };

  it.each([
    ['nothing is under way', true],
    ['nothing ever ends', false],
  ])('are shares while %s', (_, answered) => {
    const shares = shareOf([3, 1], answered);
    expect(shares[0]).toBeCloseTo(0.75, 1);
    expect(shares[1]).toBeCloseTo(0.25, 1);
  });
});

describe('those that do not look at weights', () => {
  it('give everybody the same', () => {
    for (const balancer of [new RoundRobin(), new RandomChoice(seededRandom(1))]) {
      const counts = [0, 0];
      for (let i = 0; i < 10_000; i++) {
        const index = balancer.pick(weighing([9, 1]), FIRST);
        counts[index] = (counts[index] ?? 0) + 1;
      }
      expect(Math.abs((counts[0] ?? 0) - 5_000)).toBeLessThan(250);
    }
  });
});

describe('weighted-round-robin', () => {
  it('is never further from anybody’s due than there are endpoints, at any moment', () => {
    const weights = fc.array(fc.double({ min: 0.05, max: 20, noNaN: true }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(weights, (all) => {
        const balancer = new WeightedRoundRobin();
        const candidates = weighing(all);
        const total = all.reduce((sum, weight) => sum + weight, 0);
        const counts = all.map(() => 0);
        for (let calls = 1; calls <= 200; calls++) {
          const index = balancer.pick(candidates);
          counts[index] = (counts[index] ?? 0) + 1;
          counts.forEach((count, i) =>
            expect(Math.abs(count - (calls * (all[i] ?? 0)) / total)).toBeLessThanOrEqual(all.length),
          );
        }
      }),
    );
  });
});

describe('consistent-hash', () => {
  const keys = Array.from({ length: 400 }, (_, i) => `key-${i}`);
  const homesIn = (candidates: readonly Candidate[]): (string | undefined)[] => {
    const balancer = new ConsistentHash(seededRandom(1), Number.POSITIVE_INFINITY);
    return keys.map((key) => candidates[balancer.pick(candidates, { key, again: false })]?.name);
  };
  const lists = fc.uniqueArray(
    fc.record({ name: fc.string({ minLength: 1 }), weight: fc.double({ min: 0.1, max: 10, noNaN: true }) }),
    { selector: ({ name }) => name, minLength: 2, maxLength: 8 },
  );

  it('moves the keys of those that go, and no others', () => {
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 255 }), (list, mask) => {
        const all = list.map((one): Candidate => ({ ...one, active: 0, latencyMs: 0 }));
        const left = all.filter((_, i) => (mask >> i) & 1);
        if (left.length === 0) return;
        const names = new Set(left.map(({ name }) => name));
        const [before, after] = [homesIn(all), homesIn(left)];
        before.forEach((home, i) => {
          if (home !== undefined && names.has(home)) expect(after[i]).toBe(home);
        });
      }),
      { numRuns: 60 },
    );
  });

  it('moves no more keys than the share of those that go', () => {
    fc.assert(
      fc.property(lists, (list) => {
        const all = list.map((one): Candidate => ({ ...one, active: 0, latencyMs: 0 }));
        const [gone, ...left] = all;
        const total = all.reduce((sum, { weight }) => sum + weight, 0);
        const share = (gone?.weight ?? 0) / total;
        const [before, after] = [homesIn(all), homesIn(left)];
        const moved = before.filter((home, i) => home !== after[i]).length / keys.length;
        expect(moved).toBeLessThanOrEqual(share + 5 * Math.sqrt((share * (1 - share)) / keys.length) + 0.01);
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  it('bounds everybody by their share, whatever the weights and the keys', () => {
    const weights = fc.array(fc.double({ min: 0.2, max: 5, noNaN: true }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(weights, fc.array(fc.nat(3), { minLength: 1, maxLength: 60 }), (all, calls) => {
        const balancer = new ConsistentHash(seededRandom(1), 1.5);
        const candidates = weighing(all) as (Candidate & { active: number })[];
        const total = all.reduce((sum, weight) => sum + weight, 0);
        calls.forEach((key, n) => {
          const one = candidates[balancer.pick(candidates, { key: `k${key}`, again: false })];
          if (one) one.active += 1;
          for (const { active, weight } of candidates)
            expect(active).toBeLessThanOrEqual(Math.ceil((1.5 * (n + 1) * weight) / total));
        });
      }),
    );
  });
});
