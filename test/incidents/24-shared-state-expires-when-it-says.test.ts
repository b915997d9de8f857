/**
 * What sidecars shared arrived late, and was kept longer than it held, for its expiry was counted anew whenever somebody
 * wrote it again. In Redis everything ends at an instant that is part of it; and while Redis is away everyone decides
 * locally, at once, and says so.
 */
import { describe, expect, it } from 'vitest';
import { request } from '../support/raw-client.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { countingService } from '../stores/shared-rig.ts';

const KEY = 'outrigger:limit:api/requests/30s';

const configFor = (origin: string, redis: string): string => `
state: { redis: { url: "${redis}", timeout: 5s, connectTimeout: 10s } }
upstreams:
  api:
    route: /api
    endpoints: [{ url: "${origin}" }]
    policies: { rateLimit: { requests: 3, per: 30s } }
`;

describe.skipIf(!hasRedis)('shared state', () => {
  it('ends when it says, however often it is looked at or written by others', async () => {
    await using redis = await startRedis();
    await using service = await countingService();
    await using one = await startSidecar(configFor(service.origin, redis.url));
    await using two = await startSidecar(configFor(service.origin, redis.url));
    for (let i = 0; i < 3; i++) await request(one.port, { path: '/api/x' });
    const endsAt = Number(await redis.cli('GET', KEY));
    const keptUntil = Number(await redis.cli('PEXPIRETIME', KEY));
    expect(Math.abs(keptUntil - endsAt)).toBeLessThan(50);

    // The other one knows at once, and refusing changes nothing.
    for (let i = 0; i < 5; i++) {
      const refused = await request(two.port, { path: '/api/x' });
      expect([refused.status, refused.header('x-outrigger-code')]).toEqual([429, 'rate_limited']);
      expect(Number(refused.header('retry-after-ms'))).toBeLessThanOrEqual(10_000);
    }
    expect(Number(await redis.cli('GET', KEY))).toBe(endsAt);
    expect(Number(await redis.cli('PEXPIRETIME', KEY))).toBe(keptUntil);
  });

  it('is decided locally while Redis is away, at once, and everyone is told so once', async () => {
    await using redis = await startRedis();
    await using service = await countingService();
    await using one = await startSidecar(configFor(service.origin, redis.url));
    await using two = await startSidecar(configFor(service.origin, redis.url));
    for (let i = 0; i < 3; i++) await request(one.port, { path: '/api/x' });
    await redis.kill();
    await Promise.all([one.waitForEvent('store-away'), two.waitForEvent('store-away')]);
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push((await request(two.port, { path: '/api/x' })).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
    expect(two.eventsNamed('store-away')).toHaveLength(1);
    expect(await two.metric('outrigger_store_up')).toBe(0);
    const told = await two.waitForLines(({ msg }) => msg === 'Redis is away; deciding locally');
    expect(told).toMatchObject([{ level: 'warn' }]);
  });
});
