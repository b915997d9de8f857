import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RoundRobin } from '../../src/balancing/round-robin.ts';

describe('RoundRobin', () => {
  it('gives each candidate its turn', () => {
    const balancer = new RoundRobin();
    expect(Array.from({ length: 7 }, () => balancer.pick(3, []))).toEqual([0, 1, 2, 0, 1, 2, 0]);
  });

  it('gives every candidate as many turns as any other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 10 }), (candidates, rounds) => {
        const balancer = new RoundRobin();
        const turns = new Array<number>(candidates).fill(0);
        for (let i = 0; i < candidates * rounds; i++) {
          const pick = balancer.pick(candidates, []);
          turns[pick] = (turns[pick] ?? 0) + 1;
        }
        expect(turns).toEqual(new Array<number>(candidates).fill(rounds));
      }),
    );
  });

  it('gives another try of the same exchange the next one that it has not tried, out of turn', () => {
    const balancer = new RoundRobin();
    expect(balancer.pick(4, [])).toBe(0);
    expect(balancer.pick(4, [0])).toBe(1);
    expect(balancer.pick(4, [0, 1])).toBe(2);
    expect(balancer.pick(4, [3, 0])).toBe(1);
    expect(balancer.pick(4, [0, 1, 2, 3])).toBe(0);
    expect(balancer.pick(4, [])).toBe(1);
    expect(balancer.pick(1, [0])).toBe(0);
  });

  it('stays in range however the number of candidates changes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 100 }), (counts) => {
        const balancer = new RoundRobin();
        for (const candidates of counts) {
          const pick = balancer.pick(candidates, []);
          expect(Number.isInteger(pick) && pick >= 0 && pick < candidates).toBe(true);
        }
      }),
    );
  });
});
