import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RollingWindow } from '../../src/algorithms/rolling-window.ts';

type Name = 'a' | 'b';

/** What the window promises, counted the slow way: everything since the start of the bucket nine before this one. */
function recount(
  added: readonly { name: Name; at: number; amount: number }[],
  name: Name,
  now: number,
  ms: number,
) {
  const width = ms / 10;
  const oldest = Math.floor(now / width) - 9;
  return added
    .filter((one) => one.name === name && Math.floor(one.at / width) >= oldest)
    .reduce((sum, { amount }) => sum + amount, 0);
}

const step = fc.record({
  waitMs: fc.oneof(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 50_000 })),
  name: fc.constantFrom<Name>('a', 'b'),
  amount: fc.integer({ min: 0, max: 5 }),
});

describe('RollingWindow', () => {
  it('equals a naive recount at every instant', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60_000 }),
        fc.integer({ min: -100_000, max: 1_000_000 }),
        fc.array(step, { maxLength: 60 }),
        (windowMs, startAt, steps) => {
          const window = new RollingWindow<Name>(windowMs, ['a', 'b']);
          const added: { name: Name; at: number; amount: number }[] = [];
          let now = startAt;
          for (const { waitMs, name, amount } of steps) {
            now += waitMs;
            window.add(name, now, amount);
            added.push({ name, at: now, amount });
            for (const each of ['a', 'b'] as const)
              expect(window.total(each, now)).toBe(recount(added, each, now, windowMs));
          }
        },
      ),
    );
  });

  it('covers at least nine tenths of its length, and never more than all of it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1_000_000 }),
        fc.integer({ min: 0, max: 20_000 }),
        (at, laterMs) => {
          const window = new RollingWindow<Name>(10_000, ['a']);
          window.add('a', at);
          const counted = window.total('a', at + laterMs) === 1;
          if (laterMs < 9_000) expect(counted).toBe(true);
          if (laterMs >= 10_000) expect(counted).toBe(false);
        },
      ),
    );
  });

  it('is empty after an idle stretch of its length, although nothing touched it', () => {
    const window = new RollingWindow<Name>(60_000, ['a', 'b']);
    for (let second = 0; second < 60; second++) window.add('a', second * 1_000);
    expect(window.total('a', 59_999)).toBe(60);
    expect(window.total('a', 119_999)).toBe(0);
  });

  it('lets counts go bit by bit, not all at once', () => {
    const window = new RollingWindow<Name>(10_000, ['a']);
    for (let second = 0; second < 10; second++) window.add('a', second * 1_000);
    expect([10_000, 11_000, 15_000, 19_000].map((now) => window.total('a', now))).toEqual([9, 8, 4, 0]);
  });

  it('keeps its counters apart', () => {
    const window = new RollingWindow<Name>(10_000, ['a', 'b']);
    window.add('a', 5, 3);
    expect([window.total('a', 5), window.total('b', 5)]).toEqual([3, 0]);
  });

  it('takes an instant that is a little older for now, rather than reviving old buckets', () => {
    const window = new RollingWindow<Name>(10_000, ['a']);
    window.add('a', 20_000);
    window.add('a', 18_000);
    expect(window.total('a', 29_000)).toBe(2);
    expect(window.total('a', 30_000)).toBe(0);
  });

  it('forgets everything when it is cleared, and counts on', () => {
    const window = new RollingWindow<Name>(10_000, ['a', 'b']);
    window.add('a', 1_000, 4);
    window.clear();
    expect(window.total('a', 1_000)).toBe(0);
    window.add('a', 1_500);
    expect(window.total('a', 10_999)).toBe(1);
    expect(window.total('a', 11_000)).toBe(0);
  });

  it('hands over all that counts to another one, which forgets it when it would have', () => {
    const entry = fc.record({
      name: fc.constantFrom<Name>('a', 'b'),
      at: fc.integer({ min: 0, max: 30_000 }),
      amount: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(fc.array(entry), fc.integer({ min: -50_000, max: 50_000 }), (entries, shift) => {
        const [before, after] = [1, 2].map(() => new RollingWindow<Name>(10_000, ['a', 'b']));
        for (const { name, at, amount } of entries.sort((one, other) => one.at - other.at))
          before!.add(name, at, amount);
        const tallies = before!.tallies(30_000).map(([at = 0, ...counts]) => [at + shift, ...counts]);
        const now = 30_000 + shift;
        after!.take(tallies, now);
        // Asked in the order of time: a window does not go back.
        const both = (window: RollingWindow<Name>, at: number): number[] =>
          (['a', 'b'] as const).map((name) => window.total(name, at));
        expect(both(after!, now)).toEqual(both(before!, 30_000));
        // A bucket goes as a whole, half a bucket early or late at most.
        const [most, least] = [34_400, 35_600].map((at) => both(before!, at));
        const then = both(after!, now + 5_000);
        for (const at of [0, 1]) {
          expect(then[at]).toBeLessThanOrEqual(most![at]!);
          expect(then[at]).toBeGreaterThanOrEqual(least![at]!);
        }
        expect(both(after!, now + 11_000)).toEqual([0, 0]);
      }),
    );
  });

  it('takes what is too old for nothing, and what is to come for now', () => {
    const window = new RollingWindow<Name>(10_000, ['a', 'b']);
    window.take([[500, 9, 9], [5_500, 1, 0], [99_000, 0, 2], [12_000]], 12_000);
    expect([window.total('a', 12_000), window.total('b', 12_000)]).toEqual([1, 2]);
  });
});
