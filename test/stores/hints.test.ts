/** Hints through a real Redis server, from one connection to another. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Emit } from '../../src/core/events.ts';
import { systemRandom } from '../../src/core/random.ts';
import { redisSchema } from '../../src/schema/redis.ts';
import { NO_HINTS } from '../../src/stores/memory/hints.ts';
import { RedisConnection } from '../../src/stores/redis/connection.ts';
import { RedisHints } from '../../src/stores/redis/hints.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog } from '../support/policy-kit.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import type { RedisServer } from '../support/redis-server.ts';

const POLL = { interval: 5, timeout: 5_000 };
const KEY = 'outrigger:hint:topic';

const connections: RedisConnection[] = [];
afterEach(() => {
  for (const one of connections.splice(0)) one.dispose();
});

interface Side {
  readonly hints: RedisHints;
  readonly connection: RedisConnection;
  readonly events: EventLog;
  /** Commands of that script that were answered. */
  readonly answered: (script: string) => number;
}

/** One sidecar's. @param clock of the hints; the connection has the system's */
async function side(server: RedisServer, clock: Clock = systemClock): Promise<Side> {
  const events = new EventLog();
  const emit: Emit = events.emit;
  // Two shared cores: a busy neighbour must not look like a slow server.
  const options = redisSchema.parse({ url: server.url, timeout: '1s' });
  const connection = new RedisConnection(options, { clock: systemClock, random: systemRandom, emit });
  connections.push(connection);
  await connection.open();
  const answered = (script: string): number =>
    events.of('store-command').filter((one) => one.script === script && one.result === 'ok').length;
  return { hints: new RedisHints(connection, { clock, random: systemRandom }), connection, events, answered };
}

describe.skipIf(!hasRedis)('hints through Redis', () => {
  it('are heard by the other side, say when they were told and when they end, and not by who told them', async () => {
    await using server = await startRedis();
    const [one, other] = [await side(server), await side(server)];
    const before = systemClock.now();
    one.hints.tell('topic', 60_000);
    await expect.poll(() => one.answered('hint-tell'), POLL).toBe(1);
    const told = systemClock.now();
    expect(other.hints.heard('topic')).toBeUndefined();
    await expect.poll(() => other.hints.heard('topic'), POLL).toBeDefined();
    const hint = other.hints.heard('topic');
    expect(hint?.toldAt).toBeGreaterThanOrEqual(before - 1);
    expect(hint?.until).toBeGreaterThan(before + 59_000);
    expect(hint?.until).toBeLessThanOrEqual(told + 60_000);
    one.hints.heard('topic');
    await expect.poll(() => one.answered('hint-hear'), POLL).toBeGreaterThan(0);
    expect(one.hints.heard('topic')).toBeUndefined();
  });

  it('are heard within a second by who has asked before', async () => {
    await using server = await startRedis();
    const [one, other] = [await side(server), await side(server)];
    other.hints.heard('topic');
    await expect.poll(() => other.answered('hint-hear'), POLL).toBeGreaterThan(0);
    one.hints.tell('topic', 60_000);
    await expect.poll(() => other.hints.heard('topic'), { interval: 5, timeout: 1_500 }).toBeDefined();
  });

  it('stay as they were first heard, however often they are looked at, and nobody moves their end', async () => {
    await using server = await startRedis();
    const [one, other] = [await side(server), await side(server)];
    one.hints.tell('topic', 60_000);
    await expect.poll(() => one.answered('hint-tell'), POLL).toBe(1);
    const written = await server.cli('GET', KEY);
    other.hints.heard('topic');
    await expect.poll(() => other.hints.heard('topic'), POLL).toBeDefined();
    const hint = other.hints.heard('topic');
    const looks = other.answered('hint-hear');
    await expect.poll(() => other.answered('hint-hear'), POLL).toBeGreaterThan(looks + 1);
    expect(other.hints.heard('topic')).toBe(hint);
    expect(await server.cli('GET', KEY)).toBe(written);
    const left = Number(await server.cli('PTTL', KEY));
    expect(left).toBeLessThan(60_000 - 500);
  });

  it('are replaced by what ends later only', async () => {
    await using server = await startRedis();
    const [one, other] = [await side(server), await side(server)];
    one.hints.tell('topic', 60_000);
    await expect.poll(() => one.answered('hint-tell'), POLL).toBe(1);
    const first = await server.cli('GET', KEY);
    other.hints.tell('topic', 30_000);
    await expect.poll(() => other.answered('hint-tell'), POLL).toBe(1);
    expect(await server.cli('GET', KEY)).toBe(first);
    other.hints.tell('topic', 90_000);
    await expect.poll(() => other.answered('hint-tell'), POLL).toBe(2);
    expect(await server.cli('GET', KEY)).not.toBe(first);
  });

  it('are taken back by who told them, and by nobody else', async () => {
    await using server = await startRedis();
    const [one, other] = [await side(server), await side(server)];
    one.hints.tell('topic', 60_000);
    await expect.poll(() => one.answered('hint-tell'), POLL).toBe(1);
    other.hints.tell('topic', 30_000);
    await expect.poll(() => other.answered('hint-tell'), POLL).toBe(1);
    other.hints.takeBack('topic');
    await expect.poll(() => other.answered('hint-take-back'), POLL).toBe(1);
    expect(await server.cli('EXISTS', KEY)).toBe('1');
    one.hints.takeBack('topic');
    await expect.poll(() => server.cli('EXISTS', KEY), POLL).toBe('0');
    one.hints.takeBack('topic');
    other.hints.takeBack('never-told');
    expect(one.answered('hint-take-back') + other.answered('hint-take-back')).toBe(2);
  });

  it('that were told and taken back in one breath are not there', async () => {
    await using server = await startRedis();
    const one = await side(server);
    one.hints.tell('topic', 60_000);
    one.hints.takeBack('topic');
    await expect.poll(() => one.answered('hint-take-back'), POLL).toBeGreaterThan(0);
    expect(await server.cli('EXISTS', KEY)).toBe('0');
  });

  it('that were heard stand while Redis is away; what is told meanwhile is told when it is back, and ends no later', async () => {
    await using server = await startRedis();
    const [one, other] = [await side(server), await side(server)];
    one.hints.tell('topic', 60_000);
    await expect.poll(() => other.hints.heard('topic'), POLL).toBeDefined();
    await server.kill();
    await expect.poll(() => one.connection.up || other.connection.up, POLL).toBe(false);
    const latest = systemClock.wallMs() + 50_000;
    one.hints.tell('later', 50_000);
    expect(other.hints.heard('topic')).toBeDefined();
    await server.start();
    other.hints.heard('later');
    await expect.poll(() => other.hints.heard('later'), POLL).toBeDefined();
    // Some milliseconds are on the way.
    expect(Number((await server.cli('GET', 'outrigger:hint:later')).split(' ')[0])).toBeLessThan(
      latest + 100,
    );
    expect(other.events.of('store-away')).toHaveLength(1);
  });

  it('are not looked for where Redis is away, and cost one command for all keys where it is not', async () => {
    await using server = await startRedis();
    const clock = new FakeClock();
    const one = await side(server, clock);
    for (let n = 0; n < 50; n++) one.hints.heard(`topic-${n}`);
    await expect.poll(() => one.answered('hint-hear'), POLL).toBe(50);
    await clock.advance(550);
    await expect.poll(() => one.answered('hint-hear'), POLL).toBe(51);
    await server.kill();
    await expect.poll(() => one.connection.up, POLL).toBe(false);
    const commands = one.events.of('store-command').length;
    await clock.advance(10_000);
    for (let n = 0; n < 100; n++) one.hints.heard(`topic-${n}`);
    expect(
      one.events
        .of('store-command')
        .slice(commands)
        .filter(({ script }) => script.startsWith('hint')),
    ).toEqual([]);
  });

  it('are not looked for any more once nobody has asked for ten minutes, and leave no timer', async () => {
    await using server = await startRedis();
    const clock = new FakeClock();
    const one = await side(server, clock);
    one.hints.heard('topic');
    one.hints.tell('other', 5_000);
    await expect.poll(() => one.answered('hint-tell'), POLL).toBe(1);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(600_000);
    await expect.poll(() => clock.pendingTimers, POLL).toBe(1);
    await clock.advance(1_000);
    await expect.poll(() => clock.pendingTimers, POLL).toBe(0);
    one.hints.heard('topic');
    expect(clock.pendingTimers).toBe(1);
  });

  it('leave no timer once the connection is given up', async () => {
    await using server = await startRedis();
    const clock = new FakeClock();
    const one = await side(server, clock);
    one.hints.heard('topic');
    one.hints.tell('topic', 60_000);
    one.connection.dispose();
    await clock.advance(1_000);
    await expect.poll(() => clock.pendingTimers, POLL).toBe(0);
    expect(one.hints.heard('another')).toBeUndefined();
    one.hints.tell('topic', 60_000);
    expect(clock.pendingTimers).toBe(0);
  });

  it('that nobody can read are none', async () => {
    await using server = await startRedis();
    const one = await side(server);
    await server.cli('SET', KEY, 'nonsense');
    one.hints.heard('topic');
    await expect.poll(() => one.answered('hint-hear'), POLL).toBeGreaterThan(0);
    expect(one.hints.heard('topic')).toBeUndefined();
    expect(one.connection.up).toBe(true);
  });
});

it('where nothing is shared there is nothing to hear, and nobody to tell', () => {
  NO_HINTS.tell('topic', 5);
  NO_HINTS.takeBack('topic');
  expect(NO_HINTS.heard('topic')).toBeUndefined();
});
