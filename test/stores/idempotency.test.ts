/** Keys of calls: one contract, in this process and in a real Redis; then what only several sidecars can meet. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type {
  ClaimReply,
  ClaimRequest,
  IdempotencyBounds,
  IdempotencyStore,
  KeyClaim,
  KeyedResult,
} from '../../src/core/idempotency-store.ts';
import { systemRandom } from '../../src/core/random.ts';
import { redisSchema } from '../../src/schema/redis.ts';
import { MemoryIdempotency, openMemoryIdempotency } from '../../src/stores/memory/idempotency.ts';
import { RedisConnection } from '../../src/stores/redis/connection.ts';
import { openRedisIdempotency } from '../../src/stores/redis/idempotency.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import type { RedisServer } from '../support/redis-server.ts';

const BOUNDS: IdempotencyBounds = { maxEntries: 1_000, maxBytes: 1_000_000 };

let keys = 0;
/** For a key that no other test has. */
const ask = (parts: Partial<ClaimRequest> = {}): ClaimRequest => ({
  key: `key-${(keys += 1)}`,
  fingerprint: 'print',
  ttlMs: 600_000,
  leaseMs: 30_000,
  runAgain: false,
  whenAway: 'run',
  ...parts,
});

const RESULTS: readonly KeyedResult[] = [
  {
    kind: 'answer',
    answer: {
      head: { status: 201, statusText: 'Created', headers: ['x-a', 'ÿ'] },
      chunks: [Buffer.from([0, 255, 10]), Buffer.from('data: 2\n\n')],
      trailers: ['x-t', '1'],
    },
  },
  {
    kind: 'answer',
    answer: { head: { status: 204, statusText: '', headers: [] }, chunks: [], trailers: [] },
  },
  { kind: 'unkept', status: 200 },
  { kind: 'unknown', why: 'connection_reset' },
];
const [ANSWER, , UNKEPT, UNKNOWN] = RESULTS as [KeyedResult, KeyedResult, KeyedResult, KeyedResult];

/** Buffers and arrays of bytes alike. */
const plain = (reply: ClaimReply): unknown =>
  reply.kind === 'done' && reply.result.kind === 'answer'
    ? { ...reply.result.answer, chunks: reply.result.answer.chunks.map((chunk) => [...chunk]) }
    : reply;

async function claimed(store: IdempotencyStore, request: ClaimRequest): Promise<KeyClaim> {
  const reply = await store.claim(request);
  if (reply.kind !== 'claimed') throw new Error(`expected a claim, got ${reply.kind}`);
  return reply.claim;
}

/** Asks until the store says something of that kind: what is told to Redis is not waited for. */
async function until(
  store: IdempotencyStore,
  request: ClaimRequest,
  kind: ClaimReply['kind'],
): Promise<ClaimReply> {
  const giveUpAt = systemClock.now() + 10_000;
  while (systemClock.now() < giveUpAt) {
    const reply = await store.claim(request);
    if (reply.kind === kind) return reply;
    if (reply.kind === 'claimed') store.release(reply.claim);
    await new Promise(setImmediate);
  }
  throw new Error(`it never became ${kind}`);
}

function contract(make: () => IdempotencyStore): void {
  it('gives a key to one, and tells others that it runs', async () => {
    const store = make();
    const request = ask();
    const replies = await Promise.all([1, 2, 3].map(async () => store.claim(request)));
    expect(replies.map(({ kind }) => kind).sort()).toEqual(['claimed', 'running', 'running']);
    expect(await store.claim({ ...request, fingerprint: 'other' })).toEqual({
      kind: 'running',
      fingerprint: 'print',
    });
    expect(await claimed(store, ask())).toMatchObject({ fingerprint: 'print', leaseMs: 30_000 });
  });

  it.each(RESULTS)('keeps what became of it: $kind', async (result) => {
    const store = make();
    const request = ask();
    store.complete(await claimed(store, request), result);
    const reply = await until(store, { ...request, fingerprint: 'other' }, 'done');
    expect(reply).toMatchObject({ fingerprint: 'print' });
    expect(plain(reply)).toEqual(plain({ kind: 'done', fingerprint: 'print', result }));
  });

  it('gives a key that was released to the next', async () => {
    const store = make();
    const request = ask();
    store.release(await claimed(store, request));
    expect(await until(store, request, 'claimed')).toMatchObject({ kind: 'claimed' });
  });

  it('gives what is unknown to who asks for it, and keeps what comes of that', async () => {
    const store = make();
    const request = ask();
    const first = await claimed(store, request);
    store.complete(first, UNKNOWN);
    await until(store, request, 'done');
    const second = await claimed(store, { ...request, runAgain: true });
    store.complete(first, UNKEPT);
    expect((await store.claim({ ...request, runAgain: true })).kind).toBe('running');
    store.complete(second, ANSWER);
    expect(plain(await until(store, { ...request, runAgain: true }, 'done'))).toMatchObject({
      trailers: ['x-t', '1'],
    });
  });

  it('hears nothing from those whose claim is not theirs any more', async () => {
    const store = make();
    const request = ask();
    const old = await claimed(store, request);
    store.release(old);
    await until(store, request, 'claimed').then((reply) => {
      if (reply.kind === 'claimed') store.release(reply.claim);
    });
    const reply = await until(store, request, 'claimed');
    store.complete(old, ANSWER);
    store.release(old);
    store.renew(old);
    expect(await store.claim(request)).toMatchObject({ kind: 'running' });
    expect(reply.kind).toBe('claimed');
  });
}

describe('keys in memory', () => {
  const clock = new FakeClock();
  contract(() => new MemoryIdempotency(clock, BOUNDS));

  it('are forgotten in their time, whatever is done with them', () => {
    const store = new MemoryIdempotency(clock, BOUNDS);
    const request = ask({ ttlMs: 1_000 });
    const reply = store.claim(request);
    const start = clock.now();
    void clock.advance(999);
    if (reply.kind === 'claimed') store.complete(reply.claim, ANSWER);
    expect([clock.now() - start <= 1_000, store.claim(request).kind]).toEqual([true, 'done']);
    const { bytes } = store.usage;
    expect(bytes).toBeGreaterThan(512);
  });

  it('leave nothing when they are forgotten', async () => {
    const store = new MemoryIdempotency(clock, BOUNDS);
    for (let i = 0; i < 10; i++) store.complete(await claimed(store, ask({ ttlMs: 1_000 })), ANSWER);
    expect(store.usage.keys).toBe(10);
    await clock.advance(1_000);
    expect(store.look('none')).toBeUndefined();
    expect(store.usage).toMatchObject({ keys: 0, bytes: 0, evictedKeys: 0 });
  });

  it('are taken over by a store that follows, with its own bounds', async () => {
    const open = openMemoryIdempotency(clock);
    const before = open(BOUNDS);
    const requests = [ask(), ask(), ask()];
    for (const request of requests) before.complete(await claimed(before, request), ANSWER);
    const after = open({ ...BOUNDS, maxEntries: 2 }, before);
    const kinds = requests.reverse().map((request) => after.claim(request));
    expect(kinds).toMatchObject([{ kind: 'done' }, { kind: 'done' }, { kind: 'claimed' }]);
  });
});

describe.skipIf(!hasRedis)('keys in Redis', () => {
  let server: RedisServer;
  const connections: RedisConnection[] = [];
  beforeAll(async () => {
    // Crashes lose nothing: every write is on disk before it is answered.
    server = await startRedis(['--appendonly', 'yes', '--appendfsync', 'always']);
  });
  afterAll(() => server[Symbol.asyncDispose]());
  afterEach(() => {
    for (const one of connections.splice(0)) one.dispose();
  });

  async function connect(url = server.url): Promise<RedisConnection> {
    const options = redisSchema.parse({ url, timeout: '2s' });
    const deps = { clock: systemClock, random: systemRandom, emit: () => undefined };
    const connection = new RedisConnection(options, deps);
    connections.push(connection);
    await connection.open();
    return connection;
  }

  const local = openMemoryIdempotency(systemClock);
  /** A sidecar of its own. */
  const sidecar = async (): Promise<IdempotencyStore> =>
    openRedisIdempotency(await connect(), local, systemClock)(BOUNDS);

  const two = (): Promise<[IdempotencyStore, IdempotencyStore]> => Promise.all([sidecar(), sidecar()]);

  let shared: IdempotencyStore;
  beforeAll(async () => {
    const options = redisSchema.parse({ url: server.url, timeout: '2s' });
    const connection = new RedisConnection(options, {
      clock: systemClock,
      random: systemRandom,
      emit: () => undefined,
    });
    await connection.open();
    shared = openRedisIdempotency(connection, local, systemClock)(BOUNDS);
    return () => connection.dispose();
  });
  describe('as one sidecar sees them', () => {
    contract(() => shared);
  });

  const hash = ({ key }: ClaimRequest): string => `outrigger:idempotency:${key}`;
  const pttl = async (request: ClaimRequest): Promise<number> =>
    Number(await server.cli('PTTL', hash(request)));

  it('are given to one of many, wherever they ask', async () => {
    const stores = await two();
    for (let round = 0; round < 20; round++) {
      const request = ask();
      const replies = await Promise.all([...stores, ...stores].map(async (store) => store.claim(request)));
      expect(replies.filter(({ kind }) => kind === 'claimed')).toHaveLength(1);
      expect(replies.filter(({ kind }) => kind === 'running')).toHaveLength(3);
    }
  });

  it('that were claimed while Redis was away it is told as soon as it is back, long before they are renewed', async () => {
    await using own = await startRedis();
    const connection = await connect(own.url);
    const store = openRedisIdempotency(connection, local, systemClock)(BOUNDS);
    await own.kill();
    await expect.poll(() => connection.up, { timeout: 10_000 }).toBe(false);
    const [running, over] = [ask(), ask()];
    expect(await claimed(store, running)).toMatchObject({ shared: false });
    store.release(await claimed(store, over));
    await own.start();
    const stateOf = (request: ClaimRequest) => own.cli('HGET', hash(request), 's');
    await expect.poll(() => stateOf(running), { timeout: 10_000 }).toBe('r');
    expect(await stateOf(over)).toBe('');
  });

  it('tell other sidecars what became of a call, and that it runs until then', async () => {
    const [one, other] = await two();
    const request = ask();
    const claim = await claimed(one, request);
    expect(claim.shared).toBe(true);
    expect(await other.claim({ ...request, fingerprint: 'other' })).toEqual({
      kind: 'running',
      fingerprint: 'print',
    });
    one.complete(claim, ANSWER);
    expect(plain(await until(other, request, 'done'))).toMatchObject({
      chunks: [[0, 255, 10], expect.anything()],
    });
    expect(other.usage.keys).toBe(0);
  });

  it('are unknown once the sidecar that ran them is silent for too long', async () => {
    const [one, other] = await two();
    const request = ask({ leaseMs: 60 });
    const claim = await claimed(one, request);
    const reply = await until(other, request, 'done');
    expect(reply).toMatchObject({ result: { kind: 'unknown', why: 'lost' } });
    // It was not gone after all, and knows better.
    one.complete(claim, ANSWER);
    const asked = async (): Promise<unknown> => {
      const known = await other.claim(request);
      return known.kind === 'done' && known.result.kind;
    };
    while ((await asked()) !== 'answer');
  });

  it('stay with a sidecar that renews its claim', async () => {
    const [one, other] = await two();
    const request = ask();
    const claim = await claimed(one, request);
    const heldUntil = async (): Promise<number> => Number(await server.cli('HGET', hash(request), 'l'));
    const before = await heldUntil();
    one.renew(claim);
    while ((await heldUntil()) <= before);
    expect((await other.claim(request)).kind).toBe('running');
  });

  it('expire as their first claim said, and not later', async () => {
    const [one, other] = await two();
    const request = ask({ ttlMs: 60_000 });
    const claim = await claimed(one, request);
    const first = await pttl(request);
    expect(first).toBeLessThanOrEqual(60_000);
    one.renew({ ...claim, expiresAt: claim.expiresAt + 600_000 });
    one.complete({ ...claim, expiresAt: claim.expiresAt + 600_000 }, ANSWER);
    await until(other, { ...request, ttlMs: 600_000 }, 'done');
    expect(await pttl(request)).toBeLessThanOrEqual(first);
    await server.cli('PEXPIRE', hash(request), '1');
    await until(other, request, 'claimed');
  });

  it('do not expire while they run, and leave nothing of a run that took longer than their time', async () => {
    const [one, other] = await two();
    const request = ask({ ttlMs: 1 });
    const claim = await claimed(one, request);
    expect(await pttl(request)).toBeGreaterThan(20_000);
    await server.cli('PEXPIRE', hash(request), '5000');
    one.renew(claim);
    while ((await pttl(request)) <= 5_000);
    expect((await other.claim(request)).kind).toBe('running');
    one.complete(claim, ANSWER);
    await until(other, request, 'claimed');
  });

  it('are not lost to the sidecar that never heard of having got them, however late it asks', async () => {
    const connection = await connect();
    const store = openRedisIdempotency(connection, local, systemClock)(BOUNDS);
    const request = ask({ leaseMs: 1 });
    await claimed(store, request);
    while (Number(await server.cli('HGET', hash(request), 'l')) > systemClock.wallMs());
    const successor = openRedisIdempotency(
      connection,
      () => new MemoryIdempotency(systemClock, BOUNDS),
      systemClock,
    );
    expect((await successor(BOUNDS, store).claim(request)).kind).toBe('claimed');
  });

  it('come back with the claim of a sidecar when Redis has lost them', async () => {
    const [one, other] = await two();
    const request = ask();
    const claim = await claimed(one, request);
    await server.cli('FLUSHALL');
    one.renew(claim);
    while ((await pttl(request)) < 0);
    expect((await other.claim(request)).kind).toBe('running');
    expect(await pttl(request)).toBeLessThanOrEqual(600_000);
    await server.cli('FLUSHALL');
    one.complete(claim, UNKEPT);
    expect(await until(other, request, 'done')).toMatchObject({ result: UNKEPT });
    expect(await pttl(request)).toBeGreaterThan(0);
  });

  it('are given once more to the sidecar that never heard of having got them', async () => {
    const connection = await connect();
    const store = openRedisIdempotency(connection, local, systemClock)(BOUNDS);
    const request = ask({ fingerprint: 'first' });
    const lost = { ...(await claimed(store, request)), token: 'lost' };
    store.own.release(await claimed(store.own, ask()));
    expect(lost.key).toBe(request.key);
    // A successor of the store knows nothing by itself, but is the same owner.
    const successor = openRedisIdempotency(
      connection,
      () => new MemoryIdempotency(systemClock, BOUNDS),
      systemClock,
    );
    const again = await successor(BOUNDS, store).claim({ ...request, fingerprint: 'second' });
    expect(again).toMatchObject({ kind: 'claimed', claim: { fingerprint: 'second' } });
    expect((await (await sidecar()).claim(request)).kind).toBe('running');
  });

  it('are no results where they cannot be read', async () => {
    const [one, other] = await two();
    const request = ask();
    one.complete(await claimed(one, request), ANSWER);
    await until(other, request, 'done');
    await server.cli('HSET', hash(request), 'b', 'rubbish');
    expect(await other.claim(request)).toMatchObject({ result: { kind: 'unkept', status: 0 } });
  });

  describe('while Redis is away', () => {
    it('are run for this sidecar alone, or not at all, as one likes; what it knows it knows', async () => {
      const [one, other] = await two();
      const [done, open, late] = [ask(), ask(), ask()];
      one.complete(await claimed(one, done), ANSWER);
      const running = await claimed(one, late);
      await server.kill();
      expect(await other.claim(ask({ whenAway: 'refuse' }))).toEqual({ kind: 'away' });
      expect(other.usage.keys).toBe(0);
      const alone = await claimed(one, open);
      expect(alone.shared).toBe(false);
      expect((await one.claim({ ...done, whenAway: 'refuse' })).kind).toBe('done');
      one.complete(running, UNKEPT);
      one.complete(alone, ANSWER);
      await server.start();
      // What Redis could not be told it is told now.
      expect(await until(other, late, 'done')).toMatchObject({ result: UNKEPT });
      const answered = async (): Promise<string> => (await other.claim({ ...open, whenAway: 'refuse' })).kind;
      expect(['done', 'claimed', 'running']).toContain(await answered());
      expect((await other.claim(done)).kind).toBe('done');
    });

    it('are released as soon as Redis is back', async () => {
      const [one, other] = await two();
      const request = ask();
      const claim = await claimed(one, request);
      await server.kill();
      one.release(claim);
      await server.start();
      await until(other, { ...request, whenAway: 'refuse' }, 'claimed');
    });
  });
});
