import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue } from '../../src/algorithms/fair-queue.ts';
import type { RankOrder, Seat } from '../../src/algorithms/fair-queue.ts';

const queueOf = (order: RankOrder = 'strict', msPerRank = 1_000): FairQueue<string> =>
  new FairQueue({ order, msPerRank });

const nobody = (): number => 0;

/** Everybody in order; nobody gives back what he got. */
function drain(queue: FairQueue<string>, held: Map<string, number> = new Map()): string[] {
  const out: string[] = [];
  for (;;) {
    const seat = queue.shift((flow) => held.get(flow) ?? 0);
    if (!seat) return out;
    held.set(seat.flow, (held.get(seat.flow) ?? 0) + 1);
    out.push(seat.value);
  }
}

/** `a1` is the first of flow `a`. */
const push = (queue: FairQueue<string>, value: string, rank = 0, since = 0): Seat<string> =>
  queue.push(value, { flow: value.charAt(0), rank, since });

describe('FairQueue', () => {
  it('serves one flow in the order of arrival', () => {
    const queue = queueOf();
    for (const value of ['a1', 'a2', 'a3']) push(queue, value);
    expect(drain(queue)).toEqual(['a1', 'a2', 'a3']);
    expect(queue.shift(nobody)).toBeUndefined();
  });

  it('lets flows take turns, however many calls one of them brings', () => {
    const queue = queueOf();
    for (let i = 1; i <= 100; i++) push(queue, `a${i}`);
    push(queue, 'b1');
    push(queue, 'c1');
    push(queue, 'b2');
    expect(drain(queue).slice(0, 6)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  });

  it('takes turns also where nothing is ever held', () => {
    const queue = queueOf();
    for (const value of ['a1', 'a2', 'a3', 'b1', 'b2']) push(queue, value);
    const order = Array.from({ length: 5 }, () => queue.shift(nobody)?.value);
    expect(order).toEqual(['a1', 'b1', 'a2', 'b2', 'a3']);
  });

  it('prefers the flow that holds less: long calls of one do not use up the turns of the other', () => {
    const queue = queueOf();
    for (const value of ['a1', 'a2', 'b1', 'b2', 'b3']) push(queue, value);
    expect(drain(queue, new Map([['a', 2]]))).toEqual(['b1', 'b2', 'a1', 'b3', 'a2']);
  });

  it('serves the higher rank first', () => {
    const queue = queueOf();
    push(queue, 'a1', -1);
    push(queue, 'b1', 1);
    push(queue, 'c1', 0);
    expect(drain(queue)).toEqual(['b1', 'c1', 'a1']);
  });

  it('lets waiting outweigh rank', () => {
    const queue = queueOf('strict', 1_000);
    push(queue, 'a1', 0, 0);
    push(queue, 'b1', 1, 999);
    push(queue, 'c1', 2, 2_001);
    expect(drain(queue)).toEqual(['b1', 'a1', 'c1']);
  });

  it('lends the age of one who must wait to nobody else of its rank', () => {
    const queue = queueOf('strict', 1_000);
    const held = new Map([['a', 3]]);
    push(queue, 'a1', 0, 0);
    push(queue, 'b1', 1, 1_500);
    push(queue, 'c1', 0, 1_600);
    expect(drain(queue, held)).toEqual(['b1', 'c1', 'a1']);
  });

  it('gives each rank twice the turns of the one below where the order is weighted', () => {
    const queue = queueOf('weighted');
    for (let i = 0; i < 40; i++) {
      push(queue, `h${i}`, 1);
      push(queue, `n${i}`, 0);
      push(queue, `l${i}`, -1);
    }
    const turns = Array.from({ length: 28 }, () => queue.shift(nobody)?.value.charAt(0));
    const count = (name: string): number => turns.filter((turn) => turn === name).length;
    expect([count('h'), count('n'), count('l')]).toEqual([16, 8, 4]);
  });

  it('owes no turns to a rank that did not want them', () => {
    const queue = queueOf('weighted');
    push(queue, 'l0', 0);
    for (let i = 0; i < 50; i++) push(queue, `h${i}`, 1);
    for (let i = 0; i < 31; i++) queue.shift(nobody);
    for (let i = 1; i < 20; i++) push(queue, `l${i}`, 0);
    const turns = Array.from({ length: 12 }, () => queue.shift(nobody)?.value.charAt(0));
    expect(turns.filter((turn) => turn === 'l')).toHaveLength(4);
  });

  it('tells how many go before', () => {
    const queue = queueOf();
    for (let i = 1; i <= 50; i++) push(queue, `a${i}`);
    push(queue, 'b1', 1);
    expect(queue.ahead({ flow: 'a', rank: 0 })).toBe(51);
    expect(queue.ahead({ flow: 'c', rank: 0 })).toBe(2);
    expect(queue.ahead({ flow: 'c', rank: 1 })).toBe(1);
    expect(queue.ahead({ flow: 'c', rank: 2 })).toBe(0);
    queue.reconfigure({ order: 'weighted', msPerRank: 1 });
    expect(queue.ahead({ flow: 'c', rank: 1 })).toBe(2);
    expect(queue.ahead({ flow: 'c', rank: -5 })).toBe(33);
  });

  it('lets the estimate be exact where nobody joins, leaves or ages', () => {
    const anyCall = fc.record({
      flow: fc.constantFrom('a', 'b', 'c'),
      rank: fc.integer({ min: -1, max: 1 }),
    });
    fc.assert(
      fc.property(fc.array(anyCall, { maxLength: 30 }), anyCall, (calls, last) => {
        const queue = new FairQueue<string>({ order: 'strict', msPerRank: 1e9 });
        for (const { flow, rank } of calls) queue.push('other', { flow, rank, since: 0 });
        const ahead = queue.ahead(last);
        queue.push('last', { ...last, since: 0 });
        let before = 0;
        while (queue.shift(nobody)?.value !== 'last') before += 1;
        expect(before).toBe(ahead);
      }),
    );
  });

  it('names who should make room: the last of the greediest flow in the lowest rank', () => {
    const queue = queueOf();
    for (let i = 1; i <= 5; i++) push(queue, `a${i}`);
    push(queue, 'b1');
    expect(queue.victimOf({ flow: 'c', rank: 0 })?.value).toBe('a5');
    expect(queue.victimOf({ flow: 'a', rank: 0 })).toBeUndefined();
    expect(queue.victimOf({ flow: 'a', rank: 1 })?.value).toBe('a5');
    expect(queue.victimOf({ flow: 'c', rank: -1 })).toBeUndefined();
    push(queue, 'c1', -1);
    expect(queue.victimOf({ flow: 'a', rank: 0 })?.value).toBe('c1');
    // Nobody makes room for who would have as many: they would displace each other for ever.
    expect(queue.victimOf({ flow: 'd', rank: -1 })).toBeUndefined();
  });

  it('loses nobody and serves nobody twice, whoever leaves', () => {
    const anyStep = fc.oneof(
      fc.record({
        do: fc.constant('push' as const),
        flow: fc.constantFrom('a', 'b', 'c', 'd'),
        rank: fc.integer({ min: -2, max: 2 }),
      }),
      fc.record({ do: fc.constant('remove' as const), at: fc.nat(50) }),
      fc.record({ do: fc.constant('shift' as const) }),
    );
    fc.assert(
      fc.property(
        fc.array(anyStep, { maxLength: 120 }),
        fc.constantFrom<RankOrder>('strict', 'weighted'),
        (steps, order) => {
          const queue = new FairQueue<number>({ order, msPerRank: 5 });
          const waiting = new Map<number, Seat<number>>();
          for (const [number, step] of steps.entries()) {
            if (step.do === 'push')
              waiting.set(number, queue.push(number, { flow: step.flow, rank: step.rank, since: number }));
            else if (step.do === 'remove') {
              const [key, seat] = [...waiting][step.at % Math.max(1, waiting.size)] ?? [];
              if (key === undefined || !seat) continue;
              expect(queue.remove(seat)).toBe(true);
              expect(queue.remove(seat)).toBe(false);
              waiting.delete(key);
            } else {
              const seat = queue.shift(nobody);
              expect(seat === undefined).toBe(waiting.size === 0);
              if (!seat) continue;
              expect(waiting.delete(seat.value)).toBe(true);
              expect(queue.remove(seat)).toBe(false);
            }
            expect(queue.size).toBe(waiting.size);
          }
        },
      ),
    );
  });

  it.each<RankOrder>(['strict', 'weighted'])('starves nobody, whoever keeps coming (%s)', (order) => {
    const queue = new FairQueue<string>({ order, msPerRank: 100 });
    push(queue, 'z', -2, 0);
    let turns = 0;
    for (let now = 0; ; now += 10) {
      push(queue, `a${now}`, 1, now);
      push(queue, `b${now}`, 1, now);
      turns += 1;
      if (queue.shift(nobody)?.value === 'z') break;
      expect(turns).toBeLessThan(200);
    }
  });
});
