/** Sidecars that share a limit through a real Redis: held together, and decided alone while Redis is away. */
import { describe, expect, it } from 'vitest';
import { configFile, minimalConfig, runSidecar } from '../cli/fixture.ts';
import { request } from '../support/raw-client.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { WARM_UP, countingService, load } from '../stores/shared-rig.ts';

const PER_SECOND = 20;
/** A machine with much to do may stand still for a while: what comes back meanwhile is not lost. */
const BURST = 60;
const SECONDS = 5;
const POLL = { interval: 5, timeout: 10_000 };

const upstreams = (origin: string, rateLimit: string): string =>
  `{ api: { route: /api, endpoints: [{ url: '${origin}' }], policies: { retry: false, circuitBreaker: false, rateLimit: ${rateLimit} } } }`;

/** Busy neighbours of the test must not look like a slow Redis. */
const stateAt = (url: string, timeout = '5s'): string =>
  `state: { redis: { url: '${url}', timeout: ${timeout}, connectTimeout: 10s } }\n`;

const limit = `{ requests: ${PER_SECOND}, per: 1s, burst: ${BURST} }`;

describe.skipIf(!hasRedis)('sidecars with a shared limit', () => {
  it('two processes hold it together within 5 % under ten times the load', async () => {
    await using redis = await startRedis();
    await using service = await countingService();
    const free = `free: { route: /free, endpoints: [{ url: '${service.origin}' }] }`;
    const both = upstreams(service.origin, limit).replace('{ api:', `{ ${free}, api:`);
    const config = `${minimalConfig(both)}${stateAt(redis.url)}logging: { access: 'off' }\n`;
    const start = () => runSidecar(['-c', configFile(config)]);
    await using one = await start();
    await using two = await start();
    const ports = [one.port, two.port];
    await load({ ports, perSecond: 100, seconds: 0.5, path: `/free${WARM_UP}` });
    const { statuses, sent, answeredAfter } = await load({
      ...{ ports, path: '/api/x' },
      perSecond: 10 * PER_SECOND,
      seconds: SECONDS,
    });
    const allowedIn = (time: number): number => BURST + PER_SECOND * time;
    expect(service.calls / allowedIn(answeredAfter)).toBeLessThan(1.05);
    // The last of them may have been noted late.
    expect(service.calls / allowedIn(Math.min(service.lasted, SECONDS))).toBeGreaterThan(0.95);
    expect(sent).toBe(10 * PER_SECOND * SECONDS);
    expect(statuses).toEqual({ '200': service.calls, '429': sent - service.calls });
  }, 40_000);

  it('each holds a limit of its own that is not shared', async () => {
    await using redis = await startRedis();
    await using service = await countingService();
    const own = '{ requests: 3, per: 1h, shared: false }';
    const config = `${stateAt(redis.url)}upstreams: ${upstreams(service.origin, own)}`;
    await using one = await startSidecar(config);
    await using two = await startSidecar(config);
    for (let i = 0; i < 5; i++) for (const { port } of [one, two]) await request(port, { path: '/api/x' });
    expect(service.calls).toBe(6);
    expect(await redis.cli('KEYS', '*limit*')).toBe('');
  });

  it('a Redis that is killed and started again in the middle loses no exchange', async () => {
    await using redis = await startRedis();
    await using service = await countingService();
    const wide = '{ requests: 100000, per: 1s }';
    const config = `${stateAt(redis.url)}upstreams: ${upstreams(service.origin, wide)}`;
    await using sidecar = await startSidecar(config);
    const ports = [sidecar.port];
    let isOver = false;
    const running = load({ ports, perSecond: 100, seconds: 60, path: '/api/x', enough: () => isOver });
    await expect.poll(() => service.calls, POLL).toBeGreaterThan(40);
    await redis.kill();
    await sidecar.waitForEvent('store-away');
    const before = service.calls;
    await expect.poll(() => service.calls, POLL).toBeGreaterThan(before + 40);
    expect(await sidecar.metric('outrigger_store_up')).toBe(0);
    await redis.start();
    const [back] = await sidecar.waitForEvent('store-back');
    expect(back?.awayMs).toBeGreaterThan(0);
    const after = service.calls;
    await expect.poll(() => service.calls, POLL).toBeGreaterThan(after + 40);
    isOver = true;
    const { statuses, sent } = await running;
    expect(statuses).toEqual({ '200': sent });
    expect(service.calls).toBe(sent);
    expect(sidecar.eventsNamed('store-away')).toHaveLength(1);
    expect(await sidecar.metric('outrigger_store_up')).toBe(1);
    expect(await sidecar.metric('outrigger_store_commands_total', { result: 'away' })).toBeGreaterThan(0);
    for (const told of ['Redis is away; deciding locally', 'Redis is back'])
      await sidecar.waitForLines(({ msg }) => msg === told);
  }, 60_000);

  it('a Redis that stands still costs a few bounded waits, then nothing, and is shared again afterwards', async () => {
    await using redis = await startRedis();
    await using service = await countingService();
    const narrow = '{ requests: 20, per: 1h }';
    const config = `${stateAt(redis.url, '1s')}upstreams: ${upstreams(service.origin, narrow)}`;
    await using sidecar = await startSidecar(config);
    const call = async (): Promise<number> => (await request(sidecar.port, { path: '/api/x' })).status;
    const admitted = async (): Promise<number> => {
      let calls = 0;
      while ((await call()) === 200) calls += 1;
      return calls;
    };
    expect([await call(), await call()]).toEqual([200, 200]);
    redis.freeze();
    const startedAt = performance.now();
    expect(await call()).toBe(200);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(999);
    let waited = 1;
    for (; sidecar.eventsNamed('store-away').length === 0; waited++) expect(await call()).toBe(200);
    // Its own bucket goes on from the 18 that it had heard of, and nobody waits for Redis any more.
    expect(await admitted()).toBe(18 - waited);
    expect(await sidecar.metric('outrigger_store_commands_total', { result: 'late' })).toBe(waited);
    redis.thaw();
    await sidecar.waitForEvent('store-back');
    // Of the shared bucket were taken the first two, and those of the commands that came too late.
    expect(await admitted()).toBe(18 - waited);
  }, 30_000);

  it('a sidecar starts and serves without Redis, and shares as soon as there is one', async () => {
    await using redis = await startRedis();
    await using service = await countingService();
    await redis.kill();
    const config = `${stateAt(redis.url)}upstreams: ${upstreams(service.origin, '{ requests: 2, per: 1h }')}`;
    await using sidecar = await startSidecar(config);
    expect((await request(sidecar.port, { path: '/api/x' })).status).toBe(200);
    await redis.start();
    await sidecar.waitForEvent('store-back');
    expect((await request(sidecar.port, { path: '/api/x' })).status).toBe(200);
    expect(await redis.cli('KEYS', '*limit*')).toBe('outrigger:limit:api/requests/1h');
  });
});
