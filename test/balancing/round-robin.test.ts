import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Candidate } from '../../src/core/balancer.ts';
import { RoundRobin } from '../../src/balancing/round-robin.ts';

const FIRST = { key: undefined, again: false };
const AGAIN = { key: undefined, again: true };

const named = (...names: readonly string[]): Candidate[] =>
  names.map((name) => ({ name, weight: 1, active: 0, latencyMs: 0 }));

const of = (count: number): Candidate[] => named(...Array.from({ length: count }, (_, i) => `e${i}`));

describe('RoundRobin', () => {
  it('gives each candidate its turn', () => {
    const balancer = new RoundRobin();
    expect(Array.from({ length: 7 }, () => balancer.pick(of(3), FIRST))).toEqual([0, 1, 2, 0, 1, 2, 0]);
  });

  it('gives every candidate as many turns as any other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 10 }), (candidates, rounds) => {
        const balancer = new RoundRobin();
        const turns = new Array<number>(candidates).fill(0);
        for (let i = 0; i < candidates * rounds; i++) {
          const pick = balancer.pick(of(candidates), FIRST);
          turns[pick] = (turns[pick] ?? 0) + 1;
        }
        expect(turns).toEqual(new Array<number>(candidates).fill(rounds));
      }),
    );
  });

  it('gives another try of the same exchange the one after, out of turn', () => {
    const balancer = new RoundRobin();
    expect(balancer.pick(of(3), FIRST)).toBe(0);
    expect(balancer.pick(named('e1', 'e2'), AGAIN)).toBe(0);
    expect(balancer.pick(of(3), FIRST)).toBe(1);
    expect(balancer.pick(named('e0', 'e2'), AGAIN)).toBe(1);
    expect(balancer.pick(of(3), FIRST)).toBe(2);
    expect(balancer.pick(named('e0', 'e1'), AGAIN)).toBe(0);
    expect(balancer.pick(named('e2'), AGAIN)).toBe(0);
    expect(balancer.pick(of(3), FIRST)).toBe(0);
  });

  it('stays in range however the number of candidates changes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 100 }), (counts) => {
        const balancer = new RoundRobin();
        for (const candidates of counts) {
          const pick = balancer.pick(of(candidates), FIRST);
          expect(Number.isInteger(pick) && pick >= 0 && pick < candidates).toBe(true);
        }
      }),
    );
  });
});
