/**
 * Cool-downs that instances shared arrived ten seconds late, and their ends were moved each time an instance wrote back
 * what it had read. What one sidecar finds out reaches the others promptly, ends when it was said to end, and while the
 * store is away each decides for itself and says so.
 */
import { describe, expect, it } from 'vitest';
import { keyedUpstream } from '../support/keyed-upstream.ts';
import { request } from '../support/raw-client.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import type { TestSidecar } from '../support/start-sidecar.ts';
import { respond } from '../support/steps/answers.ts';

const PROMPTLY = { interval: 20, timeout: 3_000 };

const yaml = (redis: string, { origin }: { readonly origin: string }, api: string): string => `
state: { redis: { url: '${redis}', timeout: 1s } }
upstreams:
  api: { route: /api, endpoints: [{ url: '${origin}' }], ${api} }
`;

const send = ({ port }: TestSidecar) => request(port, { path: '/api/x' });
const code = async (sidecar: TestSidecar) => (await send(sidecar)).header('x-outrigger-code');

describe.skipIf(!hasRedis)('what one sidecar finds out', () => {
  it('about an upstream that fails spares the other to find out, and ends when it was said to end', async () => {
    await using redis = await startRedis();
    await using upstream = await scriptedUpstream([respond({ status: 503 })]);
    const api = 'policies: { retry: false, circuitBreaker: { consecutiveFailures: 4, openFor: 60s } }';
    await using one = await startSidecar(yaml(redis.url, upstream, api));
    await using other = await startSidecar(yaml(redis.url, upstream, api));
    expect(await code(other)).toBeUndefined();
    for (let n = 0; n < 4; n++) await send(one);
    const [opened] = await one.waitForEvent('breaker-changed');
    expect(opened).toMatchObject({ to: 'open', cause: 'calls' });
    // Two failures of its own would not have opened it.
    await expect.poll(() => code(other), { ...PROMPTLY, interval: 700 }).toBe('circuit_open');
    expect(upstream.requests.length).toBeLessThanOrEqual(4 + 3);
    const [heard] = other.eventsNamed('breaker-changed');
    expect(heard).toMatchObject({ to: 'open', cause: 'hint' });
    expect(heard?.openForMs).toBeLessThanOrEqual(opened?.openForMs ?? 0);
    expect(await other.metric('outrigger_breaker_hints_total', { upstream: 'api' })).toBe(1);
    const [key = ''] = (await redis.cli('KEYS', 'outrigger:hint:breaker:*')).split('\n');
    const written = await redis.cli('GET', key);
    for (let n = 0; n < 5; n++)
      expect([await code(one), await code(other)]).toEqual(['circuit_open', 'circuit_open']);
    expect(await redis.cli('GET', key)).toBe(written);
  });

  it('about a key spares the other to be throttled with it, and no key is told', async () => {
    await using redis = await startRedis();
    await using upstream = await keyedUpstream();
    const api = 'credentials: { values: [sk-first-secret, sk-second-secret] }, policies: { retry: false }';
    await using one = await startSidecar(yaml(redis.url, upstream, api));
    await using other = await startSidecar(yaml(redis.url, upstream, api));
    // Both listen from their first call on.
    await send(other);
    upstream.treat.set('sk-first-secret', respond({ status: 429, headers: { 'retry-after': '600' } }));
    await send(one);
    expect(one.eventsNamed('credential-cooling')).toMatchObject([{ credential: 'key-1', hinted: false }]);
    const looks = (): number =>
      other
        .eventsNamed('store-command')
        .filter(({ script, result }) => script === 'hint-hear' && result === 'ok').length;
    await expect.poll(() => redis.cli('KEYS', '*credential*'), PROMPTLY).not.toBe('');
    const before = looks();
    await expect.poll(looks, PROMPTLY).toBeGreaterThan(before + 1);
    for (let n = 0; n < 4; n++) expect((await send(other)).status).toBe(200);
    expect(other.eventsNamed('credential-cooling')).toMatchObject([{ credential: 'key-1', hinted: true }]);
    expect(upstream.seen).toEqual({ 'sk-first-secret': 2, 'sk-second-secret': 4 });
    expect(await other.metric('outrigger_credential_hints_total', { credential: 'key-1' })).toBe(1);
    const keys = await redis.cli('KEYS', '*');
    expect(keys).toMatch(/outrigger:hint:credential:api:[0-9a-f]{64}/);
    expect(keys).not.toContain('sk-');
  });

  it('while the store is away is its own affair, and it says so', async () => {
    await using redis = await startRedis();
    await using upstream = await scriptedUpstream([respond({ status: 503 })]);
    const api = 'policies: { retry: false, circuitBreaker: { consecutiveFailures: 2, openFor: 60s } }';
    await using one = await startSidecar(yaml(redis.url, upstream, api));
    await using other = await startSidecar(yaml(redis.url, upstream, api));
    await redis.kill();
    await Promise.all([one.waitForEvent('store-away'), other.waitForEvent('store-away')]);
    expect([await code(one), await code(one), await code(one)]).toEqual([
      undefined,
      undefined,
      'circuit_open',
    ]);
    expect(await code(other)).toBeUndefined();
    await redis.start();
    await expect
      .poll(() => other.eventsNamed('store-back').length, { interval: 20, timeout: 10_000 })
      .toBe(1);
    // What was told in vain is told now.
    await expect
      .poll(() => redis.cli('KEYS', '*breaker*'), { interval: 50, timeout: 10_000 })
      .toContain('breaker:api');
    await expect
      .poll(
        async () => {
          if (other.eventsNamed('breaker-changed').length === 0) await send(other);
          return other.eventsNamed('breaker-changed');
        },
        { ...PROMPTLY, interval: 600 },
      )
      .toMatchObject([{ to: 'open' }]);
  });
});
