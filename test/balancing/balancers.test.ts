/** Every balancer against its textbook distribution. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConsistentHash } from '../../src/balancing/consistent-hash.ts';
import { LeastRequest } from '../../src/balancing/least-request.ts';
import { PeakEwmaBalancer } from '../../src/balancing/peak-ewma.ts';
import { RandomChoice } from '../../src/balancing/random.ts';
import { RoundRobin } from '../../src/balancing/round-robin.ts';
import { WeightedRandom } from '../../src/balancing/weighted-random.ts';
import { WeightedRoundRobin } from '../../src/balancing/weighted-round-robin.ts';
import type { Balancer, Candidate } from '../../src/core/balancer.ts';
import { seededRandom } from '../../src/core/random.ts';

const FIRST = { key: undefined, again: false };

const candidate = (name: string, parts: Partial<Candidate> = {}): Candidate => ({
  name,
  weight: 1,
  active: 0,
  latencyMs: 0,
  ...parts,
});

const weighing = (...weights: readonly number[]): Candidate[] =>
  weights.map((weight, i) => candidate(`e${i}`, { weight }));

/** Share of the picks that each candidate got. */
function sharesOf(balancer: Balancer, candidates: readonly Candidate[], picks = 20_000): number[] {
  const counts = new Array<number>(candidates.length).fill(0);
  for (let i = 0; i < picks; i++) {
    const index = balancer.pick(candidates, FIRST);
    counts[index] = (counts[index] ?? 0) + 1;
  }
  return counts.map((count) => count / picks);
}

/** Four standard deviations of a binomial share. */
const tolerance = (share: number, picks = 20_000): number =>
  4 * Math.sqrt((share * (1 - share)) / picks) + 1e-9;

function expectShares(actual: readonly number[], expected: readonly number[]): void {
  actual.forEach((share, i) => {
    const wanted = expected[i] ?? 0;
    expect(Math.abs(share - wanted)).toBeLessThanOrEqual(tolerance(wanted));
  });
}

const everyBalancer: readonly [string, (seed: number) => Balancer][] = [
  ['round-robin', () => new RoundRobin()],
  ['weighted-round-robin', () => new WeightedRoundRobin()],
  ['random', (seed) => new RandomChoice(seededRandom(seed))],
  ['weighted-random', (seed) => new WeightedRandom(seededRandom(seed))],
  ['least-request', (seed) => new LeastRequest(seededRandom(seed))],
  ['peak-ewma', (seed) => new PeakEwmaBalancer(seededRandom(seed))],
  ['consistent-hash', (seed) => new ConsistentHash(seededRandom(seed), 1.25)],
];

describe.each(everyBalancer)('%s', (name, build) => {
  it('has its name', () => {
    expect(build(1).name).toBe(name);
  });

  it('always names one that is there', () => {
    const one = fc.record({
      weight: fc.double({ min: 0.01, max: 100, noNaN: true }),
      active: fc.nat(50),
      latencyMs: fc.nat(10_000),
    });
    const lists = fc.array(fc.array(one, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 30 });
    const key = fc.option(fc.string(), { nil: undefined });
    fc.assert(
      fc.property(lists, key, fc.nat(), (all, wanted, seed) => {
        const balancer = build(seed);
        for (const list of all) {
          const candidates = list.map((parts, i) => candidate(`e${i}`, parts));
          const index = balancer.pick(candidates, { key: wanted, again: false });
          expect(candidates[index]).toBeDefined();
        }
      }),
    );
  });

  it('gives equals equal shares where calls may only go to some of them, in turn', () => {
    const groups = Array.from({ length: 12 }, (_, i) => [candidate(`${i}a`), candidate(`${i}b`)]);
    const balancer = build(7);
    const counts = new Map<string, number>();
    const rounds = 1_000;
    for (let i = 0; i < rounds * groups.length; i++) {
      const group = groups[i % groups.length] as Candidate[];
      const { name: picked } = group[balancer.pick(group, FIRST)] as Candidate;
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
    }
    for (const { name: one } of groups.flat())
      expect(Math.abs((counts.get(one) ?? 0) / rounds - 0.5)).toBeLessThanOrEqual(tolerance(0.5, rounds));
  });

  it('gives equals equal shares', () => {
    expectShares(sharesOf(build(5), weighing(1, 1, 1, 1)), [0.25, 0.25, 0.25, 0.25]);
  });
});

describe('weights', () => {
  const weighted = everyBalancer.filter(([name]) => !['round-robin', 'random'].includes(name));

  it.each(weighted.filter(([name]) => !['least-request', 'peak-ewma'].includes(name)))(
    '%s gives 3, 2, 1 their shares',
    (_, build) => {
      expectShares(sharesOf(build(9), weighing(3, 2, 1)), [3 / 6, 2 / 6, 1 / 6]);
    },
  );

  it.each(weighted)('%s gives the heavier more', (_, build) => {
    const [heavy = 0, light = 0] = sharesOf(build(9), weighing(3, 1));
    expect(heavy).toBeGreaterThan(light * 2);
  });
});

describe('WeightedRoundRobin', () => {
  it('does not call the heaviest in bursts', () => {
    const balancer = new WeightedRoundRobin();
    const candidates = [candidate('a', { weight: 5 }), candidate('b'), candidate('c')];
    const order = Array.from({ length: 7 }, () => candidates[balancer.pick(candidates)]?.name).join('');
    expect(order).toBe('aabacaa');
  });

  it('gives everyone exactly their due in each full round of whole weights', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 6 }), (weights) => {
        const balancer = new WeightedRoundRobin();
        const candidates = weighing(...weights);
        const counts = weights.map(() => 0);
        const round = weights.reduce((sum, weight) => sum + weight, 0);
        for (let i = 0; i < 3 * round; i++) {
          const index = balancer.pick(candidates);
          counts[index] = (counts[index] ?? 0) + 1;
        }
        expect(counts).toEqual(weights.map((weight) => 3 * weight));
      }),
    );
  });
});

describe('LeastRequest', () => {
  it('takes the less busy of the two that chance names', () => {
    const [busy = 0, idle = 0] = sharesOf(new LeastRequest(seededRandom(2)), [
      candidate('busy', { active: 3 }),
      candidate('idle'),
    ]);
    expect([busy, idle]).toEqual([0, 1]);
  });

  it('of many gives the busiest nothing, and the others each their chance', () => {
    const candidates = [0, 1, 2, 3].map((active) => candidate(`e${active}`, { active }));
    // Of the six pairs the idlest is in three, the next wins two, the next one, the busiest none.
    expectShares(sharesOf(new LeastRequest(seededRandom(3)), candidates), [3 / 6, 2 / 6, 1 / 6, 0]);
  });
});

describe('PeakEwmaBalancer', () => {
  it('prefers the quick one, until it has so much to do that the slow one is quicker', () => {
    const balancer = new PeakEwmaBalancer(seededRandom(2));
    const slow = candidate('slow', { latencyMs: 500 });
    expect(sharesOf(balancer, [candidate('quick', { latencyMs: 50, active: 8 }), slow])).toEqual([1, 0]);
    expect(sharesOf(balancer, [candidate('quick', { latencyMs: 50, active: 12 }), slow])).toEqual([0, 1]);
  });

  it('does not send everything to one of whom nothing is known yet', () => {
    const balancer = new PeakEwmaBalancer(seededRandom(2));
    const known = candidate('known', { latencyMs: 100 });
    expect(sharesOf(balancer, [candidate('new'), known])).toEqual([1, 0]);
    expect(sharesOf(balancer, [candidate('new', { active: 1 }), known])).toEqual([0, 1]);
  });
});

describe('ConsistentHash', () => {
  const unbounded = () => new ConsistentHash(seededRandom(1), Number.POSITIVE_INFINITY);
  const keys = Array.from({ length: 5_000 }, (_, i) => `key-${i}`);
  const homes = (candidates: readonly Candidate[], balancer = unbounded()): (string | undefined)[] =>
    keys.map((key) => candidates[balancer.pick(candidates, { key, again: false })]?.name);

  it('sends a key to the same one each time, whatever the order of the list', () => {
    const candidates = weighing(1, 2, 3, 1, 1);
    expect(homes(candidates.toReversed())).toEqual(homes(candidates));
  });

  it('spreads keys by weight', () => {
    const candidates = weighing(3, 2, 1);
    const names = homes(candidates);
    const shares = candidates.map(({ name }) => names.filter((one) => one === name).length / keys.length);
    shares.forEach((share, i) => {
      const wanted = [3 / 6, 2 / 6, 1 / 6][i] ?? 0;
      expect(Math.abs(share - wanted)).toBeLessThanOrEqual(tolerance(wanted, keys.length));
    });
  });

  it('moves only the keys of one that goes, and only to one that comes', () => {
    const all = weighing(1, 1, 1, 1, 1);
    const before = homes(all);
    const after = homes(all.slice(1));
    before.forEach((name, i) => {
      if (name !== 'e0') expect(after[i]).toBe(name);
    });
    const grown = homes([...all, candidate('new')]);
    const moved = grown.filter((name, i) => name !== before[i]);
    expect(new Set(moved)).toEqual(new Set(['new']));
    expect(Math.abs(moved.length / keys.length - 1 / 6)).toBeLessThanOrEqual(tolerance(1 / 6, keys.length));
  });

  it('moves only keys to one whose weight grows', () => {
    const before = homes(weighing(1, 1, 1));
    const after = homes(weighing(2, 1, 1));
    after.forEach((name, i) => {
      if (name !== before[i]) expect(name).toBe('e0');
    });
  });

  it('leaves a home that has more than its bounded share, for the same second one each time', () => {
    const bounded = new ConsistentHash(seededRandom(1), 1.25);
    const key = 'hot';
    const idle = weighing(1, 1, 1, 1);
    const home = bounded.pick(idle, { key, again: false });
    const loaded = idle.map((one, i) => (i === home ? { ...one, active: 10 } : one));
    const second = bounded.pick(loaded, { key, again: false });
    expect(second).not.toBe(home);
    expect(bounded.pick(loaded, { key, again: false })).toBe(second);
    expect(bounded.pick(idle, { key, again: false })).toBe(home);
  });

  it('never gives anybody more than the bound allows, however hot one key is', () => {
    const bounded = new ConsistentHash(seededRandom(1), 1.25);
    const active = [0, 0, 0, 0];
    for (let calls = 1; calls <= 400; calls++) {
      const candidates = active.map((count, i) => candidate(`e${i}`, { active: count }));
      const index = bounded.pick(candidates, { key: 'hot', again: false });
      active[index] = (active[index] ?? 0) + 1;
      expect(Math.max(...active)).toBeLessThanOrEqual(Math.ceil((1.25 * calls) / 4));
    }
  });

  it('goes anywhere without a key', () => {
    expectShares(sharesOf(unbounded(), weighing(1, 1)), [0.5, 0.5]);
  });
});
