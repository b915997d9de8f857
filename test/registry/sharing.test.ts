/** Registries that share through a real Redis server. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import { redisSchema } from '../../src/schema/redis.ts';
import { RedisConnection } from '../../src/stores/redis/connection.ts';
import { RedisInstances } from '../../src/stores/redis/instances.ts';
import { EventLog } from '../support/policy-kit.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import type { RedisServer } from '../support/redis-server.ts';
import { pathOf, registration, registryWith, statuses } from './fixture.ts';
import type { TestRegistry } from './fixture.ts';

const URL_A = 'http://127.0.0.1:9000';
const POLL = { interval: 10, timeout: 10_000 };

/** One sidecar's. */
async function side(server: RedisServer, ttl = '30s', timeout = '1s'): Promise<TestRegistry> {
  const options = redisSchema.parse({ url: server.url, timeout });
  const emit = new EventLog().emit;
  const connection = new RedisConnection(options, { clock: systemClock, random: systemRandom, emit });
  onTestFinished(() => connection.dispose());
  await connection.open();
  return registryWith(
    { shared: true, ttl, sweepInterval: '100ms', retention: '2s' },
    { through: new RedisInstances(connection) },
  );
}

const seenAt = ({ host }: TestRegistry): string[] => statuses(host.catalog);

describe.skipIf(!hasRedis)('registries that share', () => {
  it('list what registered at another, with all that it says, and what becomes of it', async () => {
    await using server = await startRedis();
    const [one, other] = [await side(server), await side(server)];
    const said = registration('a', { zone: 'x', weight: 3, metadata: { tool: 'ünï' }, status: 'starting' });
    one.host.catalog.register(said);
    await expect.poll(() => seenAt(other), POLL).toEqual(['a starting']);
    expect(other.host.catalog.instancesOf('search')[0]).toMatchObject({ ...said, here: false });
    expect(one.host.catalog.instancesOf('search')[0]).toMatchObject({ here: true });
    other.host.catalog.heartbeat('search', 'a', { status: 'up' });
    await expect.poll(() => seenAt(one), POLL).toEqual(['a up']);
    one.host.catalog.deregister('search', 'a');
    await expect.poll(() => seenAt(other), POLL).toEqual([]);
    expect(other.events.of('instance-left')).toMatchObject([{ here: false, reason: 'deregistered' }]);
  });

  it('let a lease run out once, and keep whoever beats anywhere', async () => {
    await using server = await startRedis();
    const [one, other] = [await side(server, '1s'), await side(server, '1s')];
    one.host.catalog.register(registration('gone', { ttlMs: 1_000 }));
    one.host.catalog.register(registration('here', { ttlMs: 1_000 }));
    await expect.poll(() => seenAt(other), POLL).toHaveLength(2);
    const beat = setInterval(() => other.host.catalog.heartbeat('search', 'here'), 200);
    onTestFinished(() => clearInterval(beat));
    await expect.poll(() => seenAt(one), POLL).toEqual(['gone down', 'here up']);
    await expect.poll(() => seenAt(other), POLL).toEqual(['gone down', 'here up']);
    const decided = [one, other].flatMap(({ events }) =>
      events.of('instance-expired').map((event) => event.here),
    );
    expect(decided.sort()).toEqual([false, true]);
    await expect.poll(() => [seenAt(one), seenAt(other)], POLL).toEqual([['here up'], ['here up']]);
  });

  it('serve on while Redis is away, keep what is told them, and tell it when it is back with nothing in it', async () => {
    await using server = await startRedis();
    const [one, other] = [await side(server), await side(server)];
    one.host.catalog.register(registration('a'));
    other.host.catalog.register(registration('b'));
    await expect
      .poll(() => [seenAt(one), seenAt(other)], POLL)
      .toEqual([
        ['a up', 'b up'],
        ['a up', 'b up'],
      ]);
    await server.kill();
    await expect
      .poll(() => [one.host.view?.sharing, other.host.view?.sharing], POLL)
      .toEqual(['away', 'away']);
    one.host.catalog.register(registration('c'));
    other.host.catalog.deregister('search', 'b');
    expect(seenAt(one)).toEqual(['a up', 'b up', 'c up']);
    await server.start();
    await expect
      .poll(() => [seenAt(one), seenAt(other)], POLL)
      .toEqual(
        [
          ['a up', 'b up', 'c up'],
          ['a up', 'b up', 'c up'],
        ].map(() => expect.arrayContaining(['a up', 'c up']) as unknown as string[]),
      );
    const third = await side(server);
    await expect.poll(() => seenAt(third), POLL).toEqual(expect.arrayContaining(['a up', 'c up']));
  }, 30_000);

  it('answer at once while Redis is frozen, though nobody knows yet that it is, and tell it all when it goes on', async () => {
    await using server = await startRedis();
    // So long that whoever waited for Redis would not be done within the test.
    const [one, other] = [await side(server, '30s', '60s'), await side(server, '30s', '60s')];
    await one.ask('PUT', pathOf('a'), { body: { url: URL_A } });
    await one.ask('PUT', pathOf('b'), { body: { url: URL_A } });
    await expect.poll(() => seenAt(other), POLL).toEqual(['a up', 'b up']);
    server.freeze();
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all([
        one.ask('PUT', pathOf(`c-${round}`), { body: { url: URL_A } }),
        one.ask('POST', `${pathOf('a')}/heartbeat`, { body: { status: 'degraded' } }),
        one.ask('GET', '/v1/services/search/instances'),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([201, 200, 200]);
    }
    expect((await one.ask('DELETE', pathOf('b'))).status).toBe(204);
    expect(one.host.view?.sharing).toBe('up');
    expect(seenAt(other)).toEqual(['a up', 'b up']);
    server.thaw();
    const all = ['a degraded', ...Array.from({ length: 20 }, (_, at) => `c-${at} up`)].sort();
    await expect.poll(() => seenAt(other).sort(), POLL).toEqual(all);
    expect(seenAt(one).sort()).toEqual(all);
  }, 20_000);

  it('take a Redis that is frozen for one that is away, watch the leases they hear, and share again when it goes on', async () => {
    await using server = await startRedis();
    const [one, other] = [await side(server, '1s', '200ms'), await side(server, '1s', '200ms')];
    one.host.catalog.register(registration('mine', { ttlMs: 1_000 }));
    one.host.catalog.register(registration('theirs', { ttlMs: 60_000 }));
    await expect.poll(() => seenAt(other), POLL).toEqual(['mine up', 'theirs up']);
    server.freeze();
    const beat = setInterval(() => other.host.catalog.heartbeat('search', 'theirs'), 100);
    onTestFinished(() => clearInterval(beat));
    const sharing = () => [one, other].map(({ host }) => host.view?.sharing);
    await expect.poll(sharing, POLL).toEqual(['away', 'away']);
    one.host.catalog.register(registration('new', { ttlMs: 1_000 }));
    await expect.poll(() => seenAt(one), POLL).toContain('new down');
    expect(seenAt(other)).toContain('theirs up');
    server.thaw();
    await expect.poll(sharing, POLL).toEqual(['up', 'up']);
    one.host.catalog.heartbeat('search', 'new');
    await expect.poll(() => seenAt(other), POLL).toContain('new up');
    expect(seenAt(one)).toContain('theirs up');
  }, 30_000);

  it('of which one begins later hears of a thousand, and of what left before only that it is not there', async () => {
    await using server = await startRedis();
    const one = await side(server);
    for (let at = 0; at < 1_000; at++) one.host.catalog.register(registration(`i-${at}`));
    one.host.catalog.deregister('search', 'i-0');
    const other = await side(server);
    await expect.poll(() => other.host.catalog.size, POLL).toBe(999);
    expect(other.host.catalog.entry('search', 'i-0')).toBeUndefined();
  }, 20_000);
});
