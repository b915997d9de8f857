import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SteadyList } from '../../../src/discovery/dns/steady-list.ts';

const steady = (graceMs: number): SteadyList<string> => new SteadyList(graceMs, (one) => one);

describe('what answers had in them', () => {
  it('has at once what is new', () => {
    const list = steady(30_000);
    list.answered(['a'], 0, 10);
    list.answered(['a', 'b'], 1, 10);
    expect(list.all).toEqual(['a', 'b']);
  });

  it('keeps what one answer lacks, until answers have lacked it for the whole grace', () => {
    const list = steady(30_000);
    list.answered(['a', 'b'], 0, 10);
    list.answered(['a'], 5_000, 10);
    expect([list.all, list.nextRemovalAt]).toEqual([['a', 'b'], 35_000]);
    list.answered(['a'], 34_999, 10);
    expect(list.all).toEqual(['a', 'b']);
    list.answered(['a'], 35_000, 10);
    expect([list.all, list.nextRemovalAt]).toEqual([['a'], undefined]);
  });

  it('begins anew with what came back in between', () => {
    const list = steady(30_000);
    list.answered(['a', 'b'], 0, 10);
    list.answered(['a'], 1_000, 10);
    list.answered(['b'], 20_000, 10);
    list.answered(['a'], 31_000, 10);
    expect(list.all).toEqual(['a', 'b']);
  });

  it('drops at once without a grace', () => {
    const list = steady(0);
    list.answered(['a', 'b'], 0, 10);
    list.answered(['b'], 0, 10);
    expect(list.all).toEqual(['b']);
  });

  it('knows the latest of what has the same key', () => {
    const list = new SteadyList<{ key: string; weight: number }>(30_000, ({ key }) => key);
    list.answered([{ key: 'a', weight: 1 }], 0, 10);
    list.answered([{ key: 'a', weight: 2 }], 1, 10);
    expect(list.all).toEqual([{ key: 'a', weight: 2 }]);
  });

  it('has at most as many as allowed: what answers lack for longest makes room', () => {
    const list = steady(30_000);
    list.answered(['a', 'b', 'c'], 0, 3);
    list.answered(['b', 'c'], 1, 3);
    list.answered(['c', 'd'], 2, 3);
    expect(list.all).toEqual(['b', 'c', 'd']);
    list.answered(['e', 'f', 'g', 'h'], 3, 3);
    expect(list.all).toEqual(['e', 'f', 'g']);
  });

  it('never loses what answers tell in turns, however they are ordered', () => {
    const everything = ['a', 'b', 'c', 'd', 'e', 'f'];
    fc.assert(
      fc.property(fc.array(fc.subarray(everything, { minLength: 1 }), { maxLength: 20 }), (answers) => {
        const list = steady(30_000);
        list.answered(everything, 0, 10);
        let now = 0;
        for (const answer of answers) {
          // Everything comes once in each grace.
          list.answered(answer.toReversed(), (now += 10_000), 10);
          list.answered(
            everything.filter((one) => !answer.includes(one)),
            (now += 10_000),
            10,
          );
          expect(list.all).toEqual(everything);
        }
      }),
    );
  });
});
