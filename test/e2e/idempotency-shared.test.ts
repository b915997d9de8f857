/** Requests with keys that reach several sidecars on one real Redis, which crashes meanwhile, as sidecars do. */
import { describe, expect, it } from 'vitest';
import { configFile, runSidecar } from '../cli/fixture.ts';
import type { RawResponse } from '../support/client/raw-response.ts';
import { request } from '../support/raw-client.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import type { RedisServer } from '../support/redis-server.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar, type TestSidecar } from '../support/start-sidecar.ts';
import { respond, respondWith } from '../support/steps/answers.ts';
import { holdResponse } from '../support/steps/hold-response.ts';

/** Every write is on disk before it is answered: a crash of Redis forgets nothing. */
const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always'];

const config = (redis: RedisServer, upstream: ScriptedUpstream, options = ''): string => `
state: { redis: { url: "${redis.url}", timeout: 5s } }
upstreams:
  api:
    route: /api
    endpoints: [{ url: "${upstream.origin}" }]
    policies: { retry: false, circuitBreaker: false, idempotency: { ${options} } }
`;

const send = (port: number, key: string, body = 'pay'): Promise<RawResponse> =>
  request(
    port,
    { method: 'POST', path: '/api/payments', headers: { 'Idempotency-Key': key }, body },
    { timeoutMs: 15_000 },
  );

/** How often the upstream has read each key. */
function effects({ requests }: ScriptedUpstream): Map<string, number> {
  const times = new Map<string, number>();
  for (const one of requests) {
    const key = one.header('idempotency-key') ?? 'none';
    times.set(key, (times.get(key) ?? 0) + 1);
  }
  return times;
}

interface Two extends AsyncDisposable {
  readonly redis: RedisServer;
  readonly upstream: ScriptedUpstream;
  readonly sidecars: readonly [TestSidecar, TestSidecar];
}

async function two(options = '', upstreamStep = respondWith(() => ({ body: 'paid' }))): Promise<Two> {
  const redis = await startRedis(DURABLE);
  const upstream = await scriptedUpstream(() => upstreamStep);
  const text = config(redis, upstream, options);
  const sidecars = [await startSidecar(text), await startSidecar(text)] as const;
  return {
    redis,
    upstream,
    sidecars,
    [Symbol.asyncDispose]: async () => {
      for (const one of [...sidecars, upstream, redis]) await one[Symbol.asyncDispose]();
    },
  };
}

describe.skipIf(!hasRedis)('a key that is sent to two sidecars', () => {
  it('runs once, whichever gets it and whenever', async () => {
    await using play = await two();
    const sends: Promise<RawResponse>[] = [];
    for (let key = 0; key < 20; key++)
      for (const { port } of [...play.sidecars, ...play.sidecars]) sends.push(send(port, `k-${key}`));
    const answers = await Promise.all(sends);
    expect(await Promise.all(answers.map((one) => one.text()))).toEqual(Array(80).fill('paid'));
    expect(answers.filter((one) => one.header('idempotent-replayed') === 'true')).toHaveLength(60);
    expect([...effects(play.upstream).values()]).toEqual(Array(20).fill(1));
  });

  it('waits for the other sidecar, and is a mistake there, too, with another body', async () => {
    const held = holdResponse(respond({ body: 'paid' }));
    await using play = await two('', held);
    const [one, other] = play.sidecars;
    const first = send(one.port, 'k');
    await held.waitForHeld();
    expect((await send(other.port, 'k', 'other')).header('x-outrigger-code')).toBe('idempotency_key_reused');
    const second = send(other.port, 'k');
    await other.waitForEvent('store-command', 3);
    held.release();
    const responses = await Promise.all([first, second]);
    expect(await Promise.all(responses.map((response) => response.text()))).toEqual(['paid', 'paid']);
    expect(responses[1]?.header('x-outrigger-source')).toBe('replay');
    expect(play.upstream.requests).toHaveLength(1);
  });

  it('is told to come again when the other sidecar takes too long', async () => {
    const held = holdResponse(respond({ body: 'paid' }));
    await using play = await two('maxWait: 50ms', held);
    const [one, other] = play.sidecars;
    const first = send(one.port, 'k');
    await held.waitForHeld();
    expect((await send(other.port, 'k')).header('x-outrigger-code')).toBe('idempotency_in_progress');
    held.release();
    expect(await (await first).text()).toBe('paid');
  });

  it('has its effect once although Redis is killed and comes back under load', async () => {
    await using play = await two('whenAway: refuse');
    const load = async (key: string, home: number): Promise<string> => {
      // As clients do: on to the other sidecar, with the same key, until there is an answer.
      for (let tries = home; ; tries++) {
        const sidecar = play.sidecars[tries % 2] as TestSidecar;
        const response = await send(sidecar.port, key);
        const text = await response.text();
        if (response.status !== 503 && response.status !== 409) return `${response.status} ${text}`;
        expect(['idempotency_unavailable', 'idempotency_in_progress']).toContain(
          response.header('x-outrigger-code'),
        );
      }
    };
    const loads: Promise<string>[] = [];
    for (let n = 0; n < 150; n++) {
      loads.push(load(`k-${n}`, n), load(`k-${n}`, n + 1));
      if (n === 50) await play.redis.kill();
      if (n === 100) await play.redis.start();
      if (n % 10 === 0) await new Promise(setImmediate);
    }
    expect(new Set(await Promise.all(loads))).toEqual(new Set(['200 paid']));
    expect(Math.max(...effects(play.upstream).values())).toBe(1);
    expect(effects(play.upstream).size).toBe(150);
  });

  it('loses no call while Redis is away, and doubles none that comes back to its own sidecar', async () => {
    await using play = await two();
    const [one] = play.sidecars;
    await play.redis.kill();
    for (let n = 0; n < 10; n++)
      for (let i = 0; i < 2; i++) expect(await (await send(one.port, `k-${n}`)).text()).toBe('paid');
    expect([...effects(play.upstream).values()]).toEqual(Array(10).fill(1));
    expect(await one.metric('outrigger_idempotency_requests_total', { result: 'run-alone' })).toBe(10);
    // What Redis missed, it is told.
    await play.redis.start();
    await one.waitForEvent('store-back');
    const other = play.sidecars[1];
    await expect
      .poll(async () => Number(await play.redis.cli('DBSIZE')), { timeout: 5_000 })
      .toBeGreaterThanOrEqual(10);
    await other.waitForEvent('store-away').then(() => other.waitForEvent('store-back'));
    expect((await send(other.port, 'k-3')).header('x-outrigger-source')).toBe('replay');
  });

  it('is unknown when the sidecar that ran it was killed', async () => {
    const held = holdResponse(respond({ body: 'paid' }));
    await using redis = await startRedis(DURABLE);
    await using upstream = await scriptedUpstream([held]);
    const text = config(redis, upstream, 'lease: 1s, maxWait: 10s');
    await using doomed = await runSidecar([
      '-c',
      configFile(`server: { listen: 127.0.0.1:0, admin: 127.0.0.1:0 }\n${text}`),
    ]);
    await using other = await startSidecar(text);
    const first = send(doomed.port, 'k').catch((error: unknown) => error);
    await held.waitForHeld();
    doomed.child.signal('SIGKILL');
    expect(await first).toBeInstanceOf(Error);
    const second = await send(other.port, 'k');
    expect([second.status, second.header('x-outrigger-code')]).toEqual([409, 'outcome_unknown']);
    expect(JSON.parse(await second.text())).toMatchObject({ detail: 'the sidecar that made it is gone' });
    expect(upstream.requests).toHaveLength(1);
    const again = await startSidecar(config(redis, upstream, 'unknown: run-again'));
    held.release();
    expect(await (await send(again.port, 'k')).text()).toBe('paid');
    await again[Symbol.asyncDispose]();
  });
});
