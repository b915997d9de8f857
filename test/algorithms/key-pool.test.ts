import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyPool } from '../../src/algorithms/key-pool.ts';
import type { KeyChange, PooledKey } from '../../src/algorithms/key-pool.ts';
import { seededRandom } from '../../src/core/random.ts';

const key = (name: string, weight = 1): PooledKey => ({ name, id: `id-of-${name}`, weight });

const TIMES = { initialMs: 1_000, maxMs: 8_000, maxRetryAfterMs: 60_000, outMs: 900_000 };

class Bench {
  now = 5_000;
  readonly changes: string[] = [];

  pool(keys: readonly PooledKey[], previous?: KeyPool<PooledKey>, times = TIMES): KeyPool<PooledKey> {
    const onChange = ({ name, from, to }: KeyChange): void =>
      void this.changes.push(`${name}: ${from} → ${to}`);
    const random = { next: () => 0 };
    return new KeyPool(keys, { times, random, now: () => this.now, onChange }, previous);
  }

  /** Names of the next picks, each of a call of its own. */
  picks(pool: KeyPool<PooledKey>, count: number): string[] {
    return Array.from({ length: count }, () => pool.pick([])?.name ?? 'none');
  }
}

const two = [key('a'), key('b')];

describe('the turn of keys', () => {
  it('goes round in the order of the list', () => {
    const bench = new Bench();
    const pool = bench.pool([key('a'), key('b'), key('c')]);
    expect(bench.picks(pool, 7)).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'a']);
  });

  it('gives each its share, evenly spread', () => {
    const bench = new Bench();
    const pool = bench.pool([key('a', 3), key('b')]);
    expect(bench.picks(pool, 8)).toEqual(['a', 'a', 'b', 'a', 'a', 'a', 'b', 'a']);
  });

  it('is exact over every full round, whatever the weights', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 6 }), (weights) => {
        const bench = new Bench();
        const pool = bench.pool(weights.map((weight, index) => key(`k${index}`, weight)));
        const picks = bench.picks(pool, 2 * weights.reduce((sum, one) => sum + one, 0));
        weights.forEach((weight, index) =>
          expect(picks.filter((name) => name === `k${index}`)).toHaveLength(2 * weight),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('leaves out what a call has tried, while there is another', () => {
    const bench = new Bench();
    const pool = bench.pool(two);
    expect([pool.pick(['a'])?.name, pool.pick(['a'])?.name, pool.pick(['b'])?.name]).toEqual(['b', 'b', 'a']);
    expect(pool.pick(['a', 'b'])).toBeDefined();
  });

  it('counts the same value twice as one key', () => {
    const bench = new Bench();
    const pool = bench.pool([key('a'), { ...key('a'), name: 'again' }, key('b')]);
    expect(pool.names).toEqual(['a', 'b']);
  });
});

describe('a throttled key', () => {
  it('rests for as long as the service asked, then takes its turn again', () => {
    const bench = new Bench();
    const pool = bench.pool(two);
    pool.cool('a', bench.now, 3_000);
    expect(bench.picks(pool, 3)).toEqual(['b', 'b', 'b']);
    bench.now += 2_999;
    expect(pool.pick([])?.name).toBe('b');
    bench.now += 1;
    expect(bench.picks(pool, 2).sort()).toEqual(['a', 'b']);
    expect(bench.changes).toEqual(['a: ready → cooling', 'a: cooling → ready']);
  });

  it('rests twice as long with each time in a row, up to the bound, where the service names no time', () => {
    const bench = new Bench();
    const pool = bench.pool(two);
    const rests = Array.from({ length: 6 }, () => {
      bench.now += 1;
      pool.cool('a', bench.now, undefined);
      const rest = pool.view()[0]?.waitMs ?? 0;
      bench.now += rest;
      return rest;
    });
    expect(rests).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
    bench.now += 1;
    pool.accept('a', bench.now);
    pool.cool('a', bench.now, undefined);
    expect(pool.view()[0]?.waitMs).toBe(1_000);
  });

  it('is not punished once for each call that was under way: they are one wave', () => {
    const bench = new Bench();
    const pool = bench.pool(two);
    const startedAt = bench.now;
    bench.now += 50;
    for (let n = 0; n < 100; n++) pool.cool('a', startedAt, undefined);
    expect(pool.view()[0]?.waitMs).toBe(1_000);
    expect(bench.changes).toEqual(['a: ready → cooling']);
  });

  it('cannot be kept away by a service longer than the operator allows', () => {
    const bench = new Bench();
    const pool = bench.pool(two);
    pool.cool('a', bench.now, 999_999_999);
    expect(pool.view()[0]?.waitMs).toBe(60_000);
  });

  it('never comes back earlier than it was said to, whatever comes in late', () => {
    const wait = fc.option(fc.integer({ min: 0, max: 70_000 }), { nil: undefined });
    fc.assert(
      fc.property(
        fc.array(fc.record({ askedMs: wait, passMs: fc.integer({ min: 0, max: 900 }) })),
        (steps) => {
          const bench = new Bench();
          const pool = bench.pool(two);
          pool.cool('a', bench.now, 10_000);
          let until = bench.now + 10_000;
          for (const { askedMs, passMs } of steps) {
            bench.now += passMs;
            if (bench.now >= until) return;
            pool.cool('a', bench.now - passMs, askedMs);
            const next = bench.now + (pool.view()[0]?.waitMs ?? 0);
            expect(next).toBeGreaterThanOrEqual(until);
            until = next;
          }
        },
      ),
    );
  });

  it('alone in its pool needs no rest', () => {
    const bench = new Bench();
    const pool = bench.pool([key('a')]);
    pool.cool('a', bench.now, 10_000);
    expect([pool.pick([])?.name, pool.view()[0]?.state]).toEqual(['a', 'ready']);
    expect(bench.changes).toEqual([]);
  });
});

describe('a key that is not accepted', () => {
  function withOneOut() {
    const bench = new Bench();
    const pool = bench.pool(two);
    pool.takeOut('a', 'auth', { startedAt: bench.now });
    return { bench, pool };
  }

  it('is out, and one call at a time may try it when its time has come', () => {
    const { bench, pool } = withOneOut();
    bench.now += TIMES.outMs - 1;
    expect(bench.picks(pool, 4)).toEqual(['b', 'b', 'b', 'b']);
    bench.now += 1;
    const picks = bench.picks(pool, 6);
    expect(picks.filter((name) => name === 'a')).toHaveLength(1);
  });

  it('is back when its trial is accepted', () => {
    const { bench, pool } = withOneOut();
    bench.now += TIMES.outMs;
    pool.pick(['b']);
    pool.accept('a', bench.now);
    expect(bench.changes).toEqual(['a: ready → out', 'a: out → ready']);
    expect(bench.picks(pool, 2).sort()).toEqual(['a', 'b']);
  });

  it('is out for as long again when its trial fails, and that is no news', () => {
    const { bench, pool } = withOneOut();
    bench.now += TIMES.outMs;
    pool.pick(['b']);
    pool.takeOut('a', 'auth', { startedAt: bench.now });
    expect(pool.view()[0]).toEqual({ name: 'a', state: 'out', waitMs: TIMES.outMs });
    expect(bench.changes).toEqual(['a: ready → out']);
  });

  it('may be tried by the next call when a trial came to no end of its own, or hangs', () => {
    const { bench, pool } = withOneOut();
    bench.now += TIMES.outMs;
    expect(pool.pick(['b'])?.name).toBe('a');
    pool.release('a', Number.POSITIVE_INFINITY);
    expect(pool.pick(['b'])?.name).toBe('a');
    expect(pool.pick(['b'])?.name).toBe('b');
    bench.now += 30_000;
    expect(pool.pick(['b'])?.name).toBe('a');
  });

  it('is not tried by a call that was turned away already, while another key is ready', () => {
    const bench = new Bench();
    const pool = bench.pool([key('a'), key('b'), key('c')]);
    pool.takeOut('a', 'quota', { startedAt: bench.now });
    bench.now += TIMES.outMs;
    expect(pool.pick(['b'])?.name).toBe('c');
  });

  it('is not brought back by calls that began before', () => {
    const { bench, pool } = withOneOut();
    pool.accept('a', bench.now - 1);
    pool.cool('a', bench.now - 1, 10);
    expect(pool.isOut('a')).toBe(true);
  });

  it('is out longer where the service names a later time', () => {
    const bench = new Bench();
    const pool = bench.pool(two, undefined, { ...TIMES, outMs: 1_000 });
    pool.takeOut('a', 'quota', { startedAt: bench.now, askedMs: 20_000 });
    expect(pool.view()[0]?.waitMs).toBe(20_000);
  });

  it('is back when somebody says so', () => {
    const { bench, pool } = withOneOut();
    expect([pool.reset('a'), pool.reset('nobody')]).toEqual([true, false]);
    expect(bench.picks(pool, 2)).toContain('a');
  });

  it('alone in its pool is used all the same, and seen to be out', () => {
    const bench = new Bench();
    const pool = bench.pool([key('a')]);
    pool.takeOut('a', 'auth', { startedAt: bench.now });
    expect([pool.pick([])?.name, pool.view()[0]?.state]).toEqual(['a', 'out']);
    bench.now += 1;
    pool.accept('a', bench.now);
    expect(pool.view()[0]?.state).toBe('ready');
  });
});

describe('a pool in which no key can be used', () => {
  it('says when the first of them can', () => {
    const bench = new Bench();
    const pool = bench.pool(two);
    pool.cool('a', bench.now, 5_000);
    pool.cool('b', bench.now, 2_000);
    expect([pool.pick([]), pool.hasOther([])]).toEqual([undefined, false]);
    expect(pool.shortage()).toEqual({ cause: 'throttled', waitMs: 2_000 });
  });

  it('says what is wrong with them, and no time where none will help', () => {
    const bench = new Bench();
    const pool = bench.pool(two, undefined, { ...TIMES, outMs: Number.POSITIVE_INFINITY });
    pool.takeOut('a', 'auth', { startedAt: bench.now });
    pool.takeOut('b', 'auth', { startedAt: bench.now });
    expect(pool.shortage()).toEqual({ cause: 'auth', waitMs: undefined });
    bench.now += 1;
    pool.takeOut('b', 'quota', { startedAt: bench.now });
    expect(pool.shortage()).toEqual({ cause: 'quota', waitMs: undefined });
  });
});

describe('the pool that follows another', () => {
  it('knows what was learnt of the keys that stay, and nothing of new values', () => {
    const bench = new Bench();
    const first = bench.pool(two);
    first.cool('a', bench.now, 5_000);
    first.takeOut('b', 'auth', { startedAt: bench.now });
    const second = bench.pool([key('a'), { name: 'b', id: 'another value', weight: 1 }], first);
    expect(second.view().map(({ state }) => state)).toEqual(['cooling', 'ready']);
    const renamed = bench.pool([{ ...key('a'), name: 'renamed' }, key('c')], second);
    expect(renamed.view()[0]).toEqual({ name: 'renamed', state: 'cooling', waitMs: 5_000 });
  });

  it('hears of calls that are still under way in the one before', () => {
    const bench = new Bench();
    const first = bench.pool(two);
    const second = bench.pool([...two, key('c')], first);
    first.takeOut('a', 'quota', { startedAt: bench.now });
    expect(second.isOut('a')).toBe(true);
  });
});

it('rests are spread by up to a tenth, so that many sidecars do not come back in step', () => {
  const random = seededRandom(3);
  const times = { ...TIMES, initialMs: 1_000, maxMs: 1_000 };
  const rests = Array.from({ length: 200 }, () => {
    const pool = new KeyPool(two, { times, random, now: () => 0, onChange: () => undefined });
    pool.cool('a', 0, undefined);
    return pool.view()[0]?.waitMs ?? 0;
  });
  expect(Math.min(...rests)).toBeGreaterThanOrEqual(1_000);
  expect(Math.max(...rests)).toBeLessThan(1_100);
  expect(new Set(rests).size).toBeGreaterThan(100);
});
