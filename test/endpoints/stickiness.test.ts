/** Who is asked while endpoints come, go, fail and heal: properties that hold for any sequence of that. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConsistentHash } from '../../src/balancing/consistent-hash.ts';
import { WeightedRoundRobin } from '../../src/balancing/weighted-round-robin.ts';
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import { seededRandom } from '../../src/core/random.ts';
import { affinityOf } from '../../src/endpoints/affinity.ts';
import { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import type { EndpointSetOptions } from '../../src/endpoints/endpoint-set.ts';
import { ChangingSource } from '../support/changing-source.ts';
import { rosterOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { exchangeAt, respond } from '../support/policy-kit.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
const KEYS = Array.from({ length: 60 }, (_, i) => `user-${i}`);
const PLAIN: EndpointSetOptions = { panicThreshold: 0, slowStart: { windowMs: 0, from: 1 } };

const urlOf = (name: string): string => `http://${name}.test`;

function rig(first: readonly (string | EndpointDescription)[], options: EndpointSetOptions = PLAIN) {
  const clock = new FakeClock();
  const source = new ChangingSource();
  source.become(...first);
  const roster = rosterOf(clock);
  const set = new EndpointSet(
    {
      source,
      roster,
      balancer: new WeightedRoundRobin(),
      affinity: {
        ...affinityOf(['header:x-user'], 10),
        balancer: new ConsistentHash(seededRandom(1), Number.POSITIVE_INFINITY),
      },
      now: () => clock.now(),
      reach: () => ({
        send: () => Promise.resolve(respond()),
        connections: () => ({ connected: 0, free: 0, running: 0 }),
      }),
    },
    options,
  );
  const pick = (user?: string): string =>
    set.pick(exchangeAt(clock, { request: { headers: user === undefined ? [] : ['x-user', user] } }))
      ?.endpoint.host[0] ?? '';
  return { clock, source, roster, set, pick };
}

describe('affinity while endpoints come, go, fail and heal', () => {
  const step = fc.record({
    name: fc.constantFrom(...NAMES),
    change: fc.constantFrom('come', 'go', 'fail', 'heal', 'drain', 'reweight'),
  });

  it('moves a key only when its home is not available any more, or to one that has just become available or heavier', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const { source, roster, set, pick } = rig(['a', 'b', 'c']);
        const weights = new Map([...'abc'].map((name) => [name, 1]));
        const tell = (): void =>
          source.become(...[...weights].map(([name, weight]) => ({ url: urlOf(name), weight })));
        const available = (): Map<string, number> =>
          new Map(
            set.members
              .filter(({ member }) => member.state === 'available')
              .map(({ endpoint, weight }) => [endpoint.host[0] ?? '', weight]),
          );
        for (const { name, change } of steps) {
          const [before, homes] = [available(), KEYS.map(pick)];
          if (change === 'come') weights.set(name, weights.get(name) ?? 1);
          else if (change === 'go') weights.delete(name);
          else if (change === 'reweight' && weights.has(name))
            weights.set(name, (weights.get(name) ?? 1) + 1);
          else if (weights.has(name)) {
            roster.member(urlOf(name)).setEjected(change === 'fail');
            roster.member(urlOf(name)).operate(change === 'drain' ? 'draining' : 'enabled');
          }
          tell();
          const after = available();
          // In a panic, and out of it, everybody moves.
          if (before.size === 0 || after.size === 0) continue;
          KEYS.forEach((key, i) => {
            const [was = '', is] = [homes[i], pick(key)];
            if (is === was) return;
            const grew = (after.get(is) ?? 0) > (before.get(is) ?? 0);
            expect(!after.has(was) || grew, `${key}: ${was} → ${is} after ${name} did ${change}`).toBe(true);
          });
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('slow start', () => {
  it('gives a newcomer the share of its age, within one call in each stretch of time', async () => {
    const slowStart = { windowMs: 10_000, from: 0.1 };
    const { clock, source, pick } = rig(['a'], { ...PLAIN, slowStart });
    await clock.advance(20_000);
    source.become('a', 'b');
    pick();
    for (const [ageMs, weight] of [
      [0, 0.1],
      [2_500, 0.325],
      [5_000, 0.55],
      [10_000, 1],
      [60_000, 1],
    ] as const) {
      await clock.advance(ageMs - (clock.now() - 21_000));
      let newcomer = 0;
      for (let i = 0; i < 1_000; i++) if (pick() === 'b') newcomer += 1;
      expect(Math.abs(newcomer - (1_000 * weight) / (1 + weight))).toBeLessThanOrEqual(2);
    }
  });

  it('begins anew for one that was away', async () => {
    const slowStart = { windowMs: 10_000, from: 0.1 };
    const { clock, set, roster } = rig(['a', 'b'], { ...PLAIN, slowStart });
    await clock.advance(20_000);
    const [, b] = set.members;
    expect(b?.weight).toBe(1);
    roster.member(urlOf('b')).setEjected(true);
    roster.member(urlOf('b')).setEjected(false);
    expect(b?.weight).toBeCloseTo(0.1);
  });
});

describe('zones', () => {
  const one = fc.record({ zone: fc.constantFrom('here', 'there'), active: fc.nat(20) });

  it('are left exactly when those here have, on average, as much as they may', () => {
    fc.assert(
      fc.property(
        fc.array(one, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 10 }),
        (all, max) => {
          const endpoints = all.map(({ zone }, i) => ({ url: urlOf(NAMES[i] ?? ''), zone }));
          const { roster, pick } = rig(endpoints, { ...PLAIN, zone: { here: 'here', maxActive: max } });
          all.forEach(({ active }, i) => (roster.member(urlOf(NAMES[i] ?? '')).active = active));
          const local = all.filter(({ zone }) => zone === 'here');
          const busy = local.reduce((sum, { active }) => sum + active, 0) >= max * local.length;
          const asked = new Set(all.map(() => pick()));
          const expected = all.flatMap(({ zone }, i) =>
            local.length === 0 || busy || zone === 'here' ? [NAMES[i]] : [],
          );
          expect([...asked].sort()).toEqual(expected);
        },
      ),
    );
  });
});

describe('priorities', () => {
  const step = fc.record({ index: fc.nat(5), ejected: fc.boolean() });

  it('always ask the best group that has anybody available: away from it and back to it with the next call', () => {
    const groups = fc.array(fc.nat(2), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(groups, fc.array(step, { maxLength: 15 }), (priorities, steps) => {
        const { roster, set, pick } = rig(
          priorities.map((priority, i) => ({ url: urlOf(NAMES[i] ?? ''), priority })),
        );
        for (const { index, ejected } of steps) {
          if (index < priorities.length) roster.member(urlOf(NAMES[index] ?? '')).setEjected(ejected);
          const well = set.members.filter(({ member }) => member.state === 'available');
          const pool = well.length > 0 ? well : set.members;
          const best = Math.min(...pool.map(({ endpoint }) => endpoint.priority));
          // Several rounds: who had more than their share of a larger group waits for the others first.
          const asked = new Set(Array.from({ length: 5 * NAMES.length }, () => pick()));
          const expected = pool
            .filter(({ endpoint }) => endpoint.priority === best)
            .map(({ endpoint }) => endpoint.host[0]);
          expect([...asked].sort()).toEqual(expected);
        }
      }),
    );
  });
});
