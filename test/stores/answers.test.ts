/** What every store of answers owes: the same tests in this process and on a real Redis. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeShelved, encodeShelved } from '../../src/algorithms/shelved-encoding.ts';
import { sizeOf } from '../../src/core/answer-store.ts';
import type { AnswerShelf, AnswerStore, CachedAnswer, Found, Shelved } from '../../src/core/answer-store.ts';
import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import { redisSchema } from '../../src/schema/redis.ts';
import { memoryAnswers } from '../../src/stores/memory/answers.ts';
import { redisAnswers } from '../../src/stores/redis/answers.ts';
import { RedisConnection } from '../../src/stores/redis/connection.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import type { RedisServer } from '../support/redis-server.ts';

const BOUNDS = { maxBytes: 100_000, maxEntryBytes: 10_000 };
const HOUR = 3_600_000;

const cached = (text: string, path = '/a'): CachedAnswer => ({
  kind: 'answer',
  answer: {
    head: { status: 200, statusText: 'OK', headers: ['x-text', text] },
    chunks: [Buffer.from(text), Buffer.from([0, 0xff, 0x80])],
    trailers: ['x-t', '1'],
  },
  path,
  ageMs: 5,
  freshForMs: 60_000,
});

const key = (group: string, variant = 'v') => ({ group, variant });

const textOf = (found: Found | undefined): string | undefined =>
  found?.shelved.kind === 'answer' ? found.shelved.answer.head.headers[1] : found?.shelved.kind;

/** @param settled resolves once what was put there is there */
function contract(open: () => AnswerShelf, settled: () => Promise<unknown>): void {
  it('gives back what was put there, bytes and all, and how long ago', async () => {
    const shelf = open();
    shelf.put(key('g'), cached('héllo'), HOUR);
    await settled();
    const found = await shelf.get(key('g'));
    expect(found?.heldForMs).toBeGreaterThanOrEqual(0);
    expect(found?.heldForMs).toBeLessThan(5_000);
    if (found?.shelved.kind !== 'answer') throw new Error('no answer');
    const { answer, ...rest } = found.shelved;
    expect(rest).toEqual({ kind: 'answer', path: '/a', ageMs: 5, freshForMs: 60_000 });
    expect(answer.chunks.map((chunk) => [...chunk])).toEqual(
      cached('héllo').answer.chunks.map((chunk) => [...chunk]),
    );
    expect([answer.head, answer.trailers]).toEqual([cached('héllo').answer.head, ['x-t', '1']]);
  });

  it('keeps groups, variants and shelves apart', async () => {
    const [shelf, other] = [open(), open()];
    shelf.put(key('g', 'a'), cached('one'), HOUR);
    shelf.put(key('g', 'b'), { kind: 'varying', names: ['x'], path: '/a' }, HOUR);
    other.put(key('g', 'a'), cached('other'), HOUR);
    await settled();
    expect(textOf(await shelf.get(key('g', 'a')))).toBe('one');
    expect((await shelf.get(key('g', 'b')))?.shelved).toEqual({ kind: 'varying', names: ['x'], path: '/a' });
    expect(textOf(await other.get(key('g', 'a')))).toBe('other');
    expect(await shelf.get(key('g', 'c'))).toBeUndefined();
    expect(await shelf.get(key('h', 'a'))).toBeUndefined();
  });

  it('replaces what was there, also by what is too large to be kept', async () => {
    const shelf = open();
    shelf.put(key('g'), cached('one'), HOUR);
    shelf.put(key('g'), cached('two'), HOUR);
    await settled();
    expect(textOf(await shelf.get(key('g')))).toBe('two');
    shelf.put(key('g'), cached('x'.repeat(10_000)), HOUR);
    await settled();
    expect(await shelf.get(key('g'))).toBeUndefined();
  });

  it('lets go of a group, of a path, of all', async () => {
    const shelf = open();
    for (const [group, path] of [
      ['a', '/x/1'],
      ['b', '/x/2'],
      ['c', '/y*'],
      ['d', '/z'],
    ] as const)
      for (const variant of ['1', '2']) shelf.put(key(group, variant), cached(group, path), HOUR);
    await settled();
    shelf.drop('a');
    await settled();
    expect([await shelf.get(key('a', '1')), await shelf.get(key('a', '2'))]).toEqual([undefined, undefined]);
    expect(await shelf.purge({ pathPrefix: '/x' })).toBe(2);
    expect(await shelf.purge({ group: 'c' })).toBe(2);
    expect(await shelf.purge({ group: 'c' })).toBe(0);
    expect(await shelf.purge({})).toBe(2);
    expect(await shelf.get(key('d', '1'))).toBeUndefined();
  });

  it('takes over other bounds', async () => {
    const shelf = open();
    shelf.resize({ maxBytes: 100_000, maxEntryBytes: 300 });
    shelf.put(key('g'), cached('x'.repeat(300)), HOUR);
    await settled();
    expect(await shelf.get(key('g'))).toBeUndefined();
  });
}

describe('answers in this process', () => {
  const clock = new FakeClock();
  const store = memoryAnswers(clock);
  const open = (bounds = BOUNDS): AnswerShelf => store.open('s', bounds);

  contract(open, () => Promise.resolve());

  it('end when they were said to, however often they are read', async () => {
    const shelf = open();
    shelf.put(key('g'), cached('one'), 1_000);
    await clock.advance(999);
    expect(await shelf.get(key('g'))).toMatchObject({ heldForMs: 999 });
    await clock.advance(1);
    expect(shelf.get(key('g'))).toBeUndefined();
    expect(shelf.held).toEqual({ entries: 0, bytes: 0 });
  });

  it('take no more than they may together: those go that were not used for longest', () => {
    const size = sizeOf(cached('0'));
    const shelf = open({ maxBytes: 3 * size, maxEntryBytes: size });
    for (const name of ['0', '1', '2']) shelf.put(key(name), cached(name), HOUR);
    expect(shelf.held).toEqual({ entries: 3, bytes: 3 * size });
    expect(shelf.get(key('0'))).toBeDefined();
    shelf.put(key('3'), cached('3'), HOUR);
    expect(shelf.held).toEqual({ entries: 3, bytes: 3 * size });
    expect(['0', '1', '2', '3'].map((name) => shelf.get(key(name)) !== undefined)).toEqual([
      true,
      false,
      true,
      true,
    ]);
    shelf.resize({ maxBytes: size, maxEntryBytes: size });
    expect(shelf.held).toEqual({ entries: 1, bytes: size });
    expect(textOf(shelf.get(key('3')) as Found)).toBe('3');
    shelf.drop('3');
    expect(shelf.held).toEqual({ entries: 0, bytes: 0 });
  });

  it('are none where there is no room at all', () => {
    const shelf = open({ maxBytes: 0, maxEntryBytes: 10_000 });
    shelf.put(key('g'), cached('one'), HOUR);
    expect([shelf.get(key('g')), shelf.held]).toEqual([undefined, { entries: 0, bytes: 0 }]);
  });
});

describe.skipIf(!hasRedis)('answers in Redis', () => {
  let server: RedisServer;
  let connection: RedisConnection;
  let store: AnswerStore;

  const connect = async (timeout: string): Promise<RedisConnection> => {
    const options = redisSchema.parse({ url: server.url, timeout, prefix: 'o[*]?:' });
    const deps = { clock: systemClock, random: systemRandom, emit: () => undefined };
    const made = new RedisConnection(options, deps);
    await made.open();
    return made;
  };

  beforeAll(async () => {
    server = await startRedis();
    // Two shared cores: a busy neighbour must not look like a slow server.
    connection = await connect('30s');
    store = redisAnswers(connection, memoryAnswers(systemClock), systemClock);
  });

  afterAll(async () => {
    connection.dispose();
    await server[Symbol.asyncDispose]();
  });

  const open = (space: string = randomUUID()): AnswerShelf => store.open(space, BOUNDS);
  // Replies come in the order of the commands.
  const settled = (): Promise<unknown> => Promise.resolve(open().get(key('none')));
  const nameOf = (space: string, group: string): string => `o[*]?:answer:${space}:${group}`;

  contract(open, settled);

  it('are there for every sidecar, also after one of them has gone', async () => {
    open('shared').put(key('g'), cached('one'), HOUR);
    await settled();
    expect(textOf(await open('shared').get(key('g')))).toBe('one');
  });

  it('end by the server’s clock, and are not kept longer by being read or joined by others', async () => {
    const shelf = open('times');
    shelf.put(key('g', 'long'), cached('long'), 60_000);
    shelf.put(key('g', 'short'), cached('short'), 1);
    await settled();
    await expect.poll(() => shelf.get(key('g', 'short')), { interval: 5 }).toBeUndefined();
    expect(textOf(await shelf.get(key('g', 'long')))).toBe('long');
    const left = Number(await server.cli('PTTL', nameOf('times', 'g')));
    expect(left).toBeGreaterThan(50_000);
    expect(left).toBeLessThanOrEqual(60_000);
  });

  it('take what somebody else has written for nothing, and go on', async () => {
    const shelf = open('foreign');
    await server.cli('SET', nameOf('foreign', 'text'), 'x');
    expect(await shelf.get(key('text'))).toBeUndefined();
    shelf.put(key('text'), cached('one'), HOUR);
    await settled();
    expect(textOf(await shelf.get(key('text')))).toBe('one');
    for (const blob of ['', 'x', 'OC\u0001garbage']) {
      await server.cli('HSET', nameOf('foreign', 'text'), 'vv', blob);
      expect(await shelf.get(key('text'))).toBeUndefined();
    }
    await server.cli('HSET', nameOf('foreign', 'text'), 'tv', 'soon');
    expect(await shelf.get(key('text'))).toBeUndefined();
    expect(connection.up).toBe(true);
    expect(await shelf.purge({})).toBeGreaterThanOrEqual(0);
  });

  it('take a full server for one that keeps nothing', async () => {
    await server.cli('CONFIG', 'SET', 'maxmemory', '1');
    const shelf = open();
    shelf.put(key('g'), cached('one'), HOUR);
    expect(await shelf.get(key('g'))).toBeUndefined();
    await server.cli('CONFIG', 'SET', 'maxmemory', '0');
    expect(connection.up).toBe(true);
  });

  it('have no more variants of one thing than can be let go of at once', async () => {
    const shelf = open('many');
    for (let n = 0; n < 300; n++) shelf.put(key('g', `${n}`), cached(`${n}`), HOUR);
    await settled();
    expect(Number(await server.cli('HLEN', nameOf('many', 'g')))).toBeLessThanOrEqual(2 * 256 + 3);
    expect(textOf(await shelf.get(key('g', '299')))).toBe('299');
  });

  it('are kept here while Redis is away, within the same bounds', async () => {
    const before = open('away');
    for (const group of ['g', 'void']) before.put(key(group), cached('shared'), HOUR);
    await settled();
    const impatient = await connect('1s');
    const shelf = redisAnswers(impatient, memoryAnswers(systemClock), systemClock).open('away', BOUNDS);
    server.freeze();
    // A few wait for their time; nobody after them.
    while (impatient.up) expect(await shelf.get(key('g'))).toBeUndefined();
    shelf.put(key('g'), cached('local'), HOUR);
    expect(textOf(shelf.get(key('g')) as Found)).toBe('local');
    expect(await shelf.purge({})).toBeUndefined();
    expect(shelf.get(key('g'))).toBeUndefined();
    shelf.drop('void');
    server.thaw();
    await expect.poll(() => impatient.up, { interval: 20, timeout: 10_000 }).toBe(true);
    expect(textOf(await shelf.get(key('g')))).toBe('shared');
    await expect.poll(() => shelf.get(key('void')), { interval: 20, timeout: 10_000 }).toBeUndefined();
    impatient.dispose();
  }, 15_000);
});

describe('a shelf’s content as bytes', () => {
  it.each<[string, Shelved]>([
    ['an answer', cached('one')],
    [
      'an empty one',
      {
        ...cached(''),
        answer: { head: { status: 204, statusText: '', headers: [] }, chunks: [], trailers: [] },
      },
    ],
    ['what it varies by', { kind: 'varying', names: ['a', 'b'], path: '/x' }],
  ])('%s is nothing once any bit of it is another', (_, shelved) => {
    const bytes = encodeShelved(shelved);
    expect(decodeShelved(bytes)).toBeDefined();
    for (let at = 0; at < bytes.length; at++) {
      const broken = Uint8Array.from(bytes);
      broken[at] = (broken[at] ?? 0) ^ 1;
      expect(decodeShelved(broken)).toBeUndefined();
      expect(decodeShelved(bytes.subarray(0, at))).toBeUndefined();
    }
  });
});

it('counts the time in which the machine slept, and none that the wall clock was put back by', async () => {
  const clock = new FakeClock();
  const shelf = memoryAnswers(clock).open('api', BOUNDS);
  shelf.put(key('g'), cached('one'), HOUR);
  clock.wallOffsetMs = HOUR / 2;
  expect(await shelf.get(key('g'))).toMatchObject({ heldForMs: HOUR / 2 });
  clock.wallOffsetMs = -HOUR;
  await clock.advance(1_000);
  expect(await shelf.get(key('g'))).toMatchObject({ heldForMs: 1_000 });
  clock.wallOffsetMs = HOUR;
  expect(await shelf.get(key('g'))).toBeUndefined();
});
