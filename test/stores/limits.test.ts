/** Buckets of tokens: one contract, in this process and in a real Redis. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { BucketSize, Charge, LimitStore } from '../../src/core/limit-store.ts';
import { systemRandom } from '../../src/core/random.ts';
import { redisSchema } from '../../src/schema/redis.ts';
import { MemoryLimits } from '../../src/stores/memory/limits.ts';
import { RedisConnection } from '../../src/stores/redis/connection.ts';
import { RedisLimits } from '../../src/stores/redis/limits.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import type { RedisServer } from '../support/redis-server.ts';

/** Nothing to speak of comes back while a test runs. */
const STILL: BucketSize = { burst: 10, ratePerSecond: 0.0001 };

let buckets = 0;
/** A bucket that no other test has. */
const charge = (cost: number, size = STILL, key = `bucket-${++buckets}`): Charge => ({ key, size, cost });
const again = (one: Charge, cost: number): Charge => ({ ...one, cost });

function limitContract(make: () => LimitStore): void {
  it('admits a burst, then nothing', async () => {
    const store = make();
    const one = charge(1);
    const decisions = [];
    for (let i = 0; i < 12; i++) decisions.push(await store.take([one]));
    expect(decisions.map(({ admitted }) => admitted)).toEqual([
      ...Array.from({ length: 10 }, () => true),
      ...[false, false],
    ]);
    expect(decisions[0]?.levels[0]?.remaining).toBeCloseTo(9, 2);
    expect(decisions[9]?.levels[0]?.remaining).toBeCloseTo(0, 2);
    expect(decisions[11]?.levels[0]?.waitMs).toBeCloseTo(10_000_000, -4);
  });

  it('takes from all buckets or from none', async () => {
    const store = make();
    const [wide, narrow] = [charge(4), charge(4, { ...STILL, burst: 5 })];
    expect((await store.take([wide, narrow])).admitted).toBe(true);
    const refused = await store.take([wide, narrow]);
    expect(refused.admitted).toBe(false);
    expect(refused.levels[0]?.waitMs).toBe(0);
    expect(refused.levels[1]?.waitMs).toBeGreaterThan(0);
    const { admitted, levels } = await store.take([again(wide, 6)]);
    expect(admitted).toBe(true);
    expect(levels[0]?.remaining).toBeCloseTo(0, 2);
  });

  it('takes fractions', async () => {
    const store = make();
    const one = charge(2.5);
    for (let i = 0; i < 4; i++) expect((await store.take([one])).admitted).toBe(true);
    expect((await store.take([again(one, 0.25)])).admitted).toBe(false);
  });

  it('gives back what was not needed, never above a full bucket', async () => {
    const store = make();
    const one = charge(8);
    const { by } = await store.take([one]);
    store.adjust([again(one, -5)], by);
    expect((await store.take([again(one, 7)])).admitted).toBe(true);
    store.adjust([again(one, -1_000)], by);
    expect((await store.take([again(one, 10)])).levels[0]?.remaining).toBeCloseTo(0, 2);
  });

  it('takes more afterwards, into debt', async () => {
    const store = make();
    const one = charge(2);
    const { by } = await store.take([one]);
    store.adjust([again(one, 13)], by);
    const { admitted, levels } = await store.take([again(one, 1)]);
    expect(admitted).toBe(false);
    expect(levels[0]?.remaining).toBeCloseTo(-5, 2);
  });

  it('lets in what costs more than a full bucket, once it is full', async () => {
    const store = make();
    const one = charge(15);
    expect((await store.take([one])).admitted).toBe(true);
    expect((await store.take([again(one, 1)])).levels[0]?.remaining).toBeCloseTo(-5, 2);
    const other = charge(1);
    await store.take([other]);
    expect((await store.take([again(other, 15)])).admitted).toBe(false);
  });

  it('asks without taking where a call costs nothing', async () => {
    const store = make();
    const one = charge(0);
    expect((await store.take([one])).levels[0]?.remaining).toBe(10);
    expect((await store.take([again(one, 10)])).admitted).toBe(true);
  });

  it('keeps buckets apart', async () => {
    const store = make();
    expect((await store.take([charge(10)])).admitted).toBe(true);
    expect((await store.take([charge(10)])).admitted).toBe(true);
  });

  it('admits no more than there is, however many ask at once', async () => {
    const store = make();
    const one = charge(1);
    const decisions = await Promise.all(Array.from({ length: 60 }, async () => store.take([one])));
    expect(decisions.filter(({ admitted }) => admitted)).toHaveLength(10);
  });
}

describe('limits in this process', () => {
  limitContract(() => new MemoryLimits(new FakeClock()));

  it('do not stay shut for what was used up of a much smaller one before a reload', () => {
    const store = new MemoryLimits(new FakeClock());
    const one = charge(10, { burst: 10, ratePerSecond: 10 / 3_600 });
    store.take([one]);
    expect(store.take([{ ...one, cost: 1, size: { burst: 10, ratePerSecond: 100 } }]).admitted).toBe(true);
  });

  it('admit never more than a burst and what came back, in any stretch of time', async () => {
    const step = fc.record({
      afterMs: fc.nat(400),
      cost: fc.integer({ min: 1, max: 8 }),
      back: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 8, max: 30 }),
        fc.integer({ min: 1, max: 50 }),
        async (steps, burst, ratePerSecond) => {
          const clock = new FakeClock();
          const store = new MemoryLimits(clock);
          const taken: { at: number; cost: number }[] = [];
          for (const { afterMs, cost, back } of steps) {
            await clock.advance(afterMs);
            const one = charge(cost, { burst, ratePerSecond }, 'one');
            if (!store.take([one]).admitted) continue;
            const part = back ? Math.floor(cost / 2) : 0;
            if (part > 0) store.adjust([again(one, -part)]);
            taken.push({ at: clock.now(), cost: cost - part });
          }
          taken.forEach((first, from) => {
            let sum = 0;
            for (const { at, cost } of taken.slice(from)) {
              sum += cost;
              expect(sum).toBeLessThanOrEqual(burst + ((at - first.at) * ratePerSecond) / 1_000 + 0.01);
            }
          });
        },
      ),
      { numRuns: 150 },
    );
  });

  it('forgets buckets that are full again, for they say nothing', async () => {
    const clock = new FakeClock();
    const store = new MemoryLimits(clock, 100);
    for (let i = 0; i < 90; i++) store.take([charge(1, { burst: 10, ratePerSecond: 10 })]);
    const kept = charge(10, STILL);
    store.take([kept]);
    await clock.advance(1_000);
    for (let i = 0; i < 10; i++) store.take([charge(1, STILL)]);
    expect(store.size).toBe(11);
    expect(store.take([again(kept, 1)]).admitted).toBe(false);
  });

  it('are bounded, whatever names callers make up: those go first that would be full first', () => {
    const store = new MemoryLimits(new FakeClock(), 100);
    const mine = charge(10);
    store.take([mine]);
    for (let i = 0; i < 5_000; i++) {
      store.take([charge(1)]);
      expect(store.take([again(mine, 1)]).admitted).toBe(false);
    }
    expect(store.size).toBeLessThanOrEqual(100);
  });
});

describe.skipIf(!hasRedis)('limits in Redis', () => {
  let server: RedisServer;
  const connections: RedisConnection[] = [];

  const connect = async (): Promise<RedisConnection> => {
    // Two shared cores: a busy neighbour must not look like a slow server.
    const options = redisSchema.parse({ url: server.url, timeout: '30s' });
    const deps = { clock: systemClock, random: systemRandom, emit: () => undefined };
    const connection = new RedisConnection(options, deps);
    connections.push(connection);
    await connection.open();
    return connection;
  };

  let store: RedisLimits;
  let other: RedisLimits;
  beforeAll(async () => {
    server = await startRedis();
    store = new RedisLimits(await connect(), new MemoryLimits(new FakeClock()));
    other = new RedisLimits(await connect(), new MemoryLimits(new FakeClock()));
  });
  afterAll(async () => {
    for (const connection of connections) connection.dispose();
    await server[Symbol.asyncDispose]();
  });

  limitContract(() => store);

  it('are the same for all who ask', async () => {
    const one = charge(1);
    const stores = Array.from({ length: 30 }, (_, index) => (index % 2 ? store : other));
    const decisions = await Promise.all(stores.map(async (each) => each.take([one])));
    expect(decisions.filter(({ admitted }) => admitted)).toHaveLength(10);
    expect(new Set(decisions.map(({ by }) => by))).toEqual(new Set(['shared']));
  });

  it('do the same sums as those in this process', async () => {
    const cost = fc.double({ min: -5, max: 25, noNaN: true });
    await fc.assert(
      fc.asyncProperty(fc.array(cost, { maxLength: 12 }), async (costs) => {
        const local = new MemoryLimits(new FakeClock());
        const one = charge(0);
        for (const each of costs) {
          const asked = [again(one, Math.abs(each))];
          if (each < 0) [store, local].forEach((to) => to.adjust([again(one, each)], 'shared'));
          const [shared, own] = [await store.take(asked), local.take(asked)];
          // What comes back in the moment between must not decide.
          fc.pre(Math.abs((own.levels[0]?.waitMs ?? 0) / 1e7) > 0.001 || own.admitted === shared.admitted);
          expect(shared.admitted).toBe(own.admitted);
          expect(shared.levels[0]?.remaining).toBeCloseTo(own.levels[0]?.remaining ?? 0, 2);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('let in, over a second of far too many calls, a burst and what came back', async () => {
    // Full again only after a second: a busy machine may stand still for less, and no token is lost by that.
    const one = charge(1, { burst: 200, ratePerSecond: 200 });
    const startedAt = performance.now();
    let [admitted, emptied] = [0, false];
    while (performance.now() - startedAt < 1_000 || !emptied) {
      const batch = await Promise.all(Array.from({ length: 20 }, async () => store.take([one])));
      const went = batch.filter((decision) => decision.admitted).length;
      admitted += went;
      emptied = went < batch.length;
    }
    const most = 200 + ((performance.now() - startedAt) / 1_000) * 200;
    expect(admitted).toBeLessThanOrEqual(Math.ceil(most));
    expect(admitted).toBeGreaterThan(most * 0.9);
  });

  it('expire when they are full, and are never kept for longer', async () => {
    const one = charge(4, { burst: 10, ratePerSecond: 1 });
    await store.take([one]);
    const key = `outrigger:limit:${one.key}`;
    const first = Number(await server.cli('PTTL', key));
    expect(first).toBeLessThanOrEqual(4_000);
    expect(first).toBeGreaterThan(2_000);
    await store.take([again(one, 0)]);
    expect(Number(await server.cli('PTTL', key))).toBeLessThanOrEqual(first + 1);
    store.adjust([again(one, -4)], 'shared');
    expect((await store.take([again(one, 10)])).admitted).toBe(true);
  });

  it('go by the clock of the server: what a machine thinks the time is does not matter', async () => {
    const clock = new FakeClock();
    clock.wallOffsetMs = 86_400_000;
    const one = charge(10);
    await store.take([one]);
    const elsewhere = new RedisLimits(await connect(), new MemoryLimits(clock));
    expect((await elsewhere.take([again(one, 1)])).admitted).toBe(false);
  });

  it('are full where the server’s clock was put back: else nobody might go until it is that late again', async () => {
    const one = charge(1, { burst: 10, ratePerSecond: 10 });
    await server.cli('SET', `outrigger:limit:${one.key}`, `${Date.now() + 3_600_000}`, 'PX', '3600000');
    const decision = await store.take([one]);
    expect(decision).toMatchObject({ admitted: true, by: 'shared' });
    expect(decision.levels[0]?.remaining).toBeCloseTo(9, 2);
    expect(Number(await server.cli('PTTL', `outrigger:limit:${one.key}`))).toBeLessThanOrEqual(100);
  });

  it('are those of this process while Redis is away, as they were when it was last heard of', async () => {
    const connection = await connect();
    const local = new MemoryLimits(new FakeClock());
    const shared = new RedisLimits(connection, local);
    const one = charge(1);
    await store.take([again(one, 7)]);
    await shared.take([one]);
    connection.dispose();
    expect(await shared.take([again(one, 3)])).toMatchObject({ admitted: false, by: 'local' });
    expect(await shared.take([again(one, 2)])).toMatchObject({ admitted: true, by: 'local' });
  });

  it('are those of this process while Redis is away, and say so', async () => {
    const connection = await connect();
    const away = new RedisLimits(connection, new MemoryLimits(new FakeClock()));
    const one = charge(10);
    await store.take([one]);
    connection.dispose();
    const decision = await away.take([one]);
    expect(decision).toMatchObject({ admitted: true, by: 'local' });
    away.adjust([again(one, -10)], decision.by);
    expect(await away.take([one])).toMatchObject({ admitted: true, by: 'local' });
  });
});
