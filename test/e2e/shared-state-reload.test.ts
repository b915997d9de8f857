/** The connection to Redis over reloads: kept where its section is, closed where it is not, never left behind. */
import { describe, expect, it } from 'vitest';
import { apiAt, ownSidecar } from '../incidents/own-sidecar.ts';
import { leakCheck } from '../support/leak-check.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import type { RedisServer } from '../support/redis-server.ts';

/** Connections to the server but for the one that asks. */
async function connectionsTo(redis: RedisServer): Promise<number> {
  const text = await redis.cli('INFO', 'clients');
  return Number(/connected_clients:(\d+)/.exec(text)?.[1]) - 1;
}

const api = (more = ''): string => apiAt('http://127.0.0.1:9', more);

describe.skipIf(!hasRedis)('the connection to Redis', () => {
  it('is kept over a reload that changes something else, and made anew where its section changes', async () => {
    await using redis = await startRedis();
    await using own = await ownSidecar(`state: { redis: "${redis.url}" }\n${api()}`);
    expect(await connectionsTo(redis)).toBe(1);
    const id = await redis.cli('CLIENT', 'LIST', 'TYPE', 'normal');
    await own.edit(`state: { redis: "${redis.url}" }\n${api('policies: { retry: false }')}`);
    expect(await connectionsTo(redis)).toBe(1);
    expect((await redis.cli('CLIENT', 'LIST')).split(' ')[0]).toBe(id.split(' ')[0]);
    await own.edit(`state: { redis: { url: "${redis.url}", prefix: "other:" } }\n${api()}`);
    await expect.poll(() => connectionsTo(redis)).toBe(1);
    expect((await redis.cli('CLIENT', 'LIST')).split(' ')[0]).not.toBe(id.split(' ')[0]);
    await own.edit(api());
    await expect.poll(() => connectionsTo(redis)).toBe(0);
    expect(await own.series('outrigger_store_up')).toEqual([]);
  });

  it('serves policies that did not change themselves, wherever it leads', async () => {
    await using first = await startRedis();
    await using second = await startRedis();
    const limited = api('policies: { retry: false, rateLimit: { requests: 5, per: 1h } }');
    const at = ({ url }: RedisServer): string =>
      `state: { redis: { url: "${url}", timeout: 5s } }\n${limited}`;
    await using own = await ownSidecar(at(first));
    await own.send();
    expect(await first.cli('KEYS', '*limit*')).toContain('requests/1h');
    await own.edit(at(second));
    await own.send();
    expect(await second.cli('KEYS', '*limit*')).toContain('requests/1h');
    await own.edit(limited);
    await own.send();
    expect(own.events.of('store-away')).toEqual([]);
    expect(own.events.of('store-command').map(({ result }) => result)).not.toContain('away');
  });

  it('is not made for a configuration that is refused', async () => {
    await using redis = await startRedis();
    await using own = await ownSidecar(api());
    const onTheSamePort = api(`listen: "127.0.0.1:${redis.port}"`);
    const { applied } = await own.edit(`state: { redis: "${redis.url}" }\n${onTheSamePort}`);
    expect(applied).toBe(false);
    await expect.poll(() => connectionsTo(redis)).toBe(0);
  });

  it('is gone when the sidecar is', async () => {
    await using redis = await startRedis();
    const leaks = await leakCheck();
    const own = await ownSidecar(`state: { redis: "${redis.url}" }\n${api()}`);
    await own.sidecar.stop();
    await leaks.settled();
    expect(await connectionsTo(redis)).toBe(0);
  });

  it('to nobody is given up when the sidecar stops', async () => {
    await using redis = await startRedis();
    await redis.kill();
    const leaks = await leakCheck();
    const own = await ownSidecar(`state: { redis: "${redis.url}" }\n${api()}`);
    expect(own.sidecar.supervisor.storeIsUp).toBe(false);
    await own.sidecar.stop();
    await leaks.settled();
    expect(own.clock.pendingTimers).toBe(0);
  });
});
