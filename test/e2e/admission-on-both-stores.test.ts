/** Policies with a store among their neighbours, over real sockets: in memory, and on a real Redis. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RawResponse } from '../support/client/raw-response.ts';
import { request } from '../support/raw-client.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import type { RedisServer } from '../support/redis-server.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond } from '../support/steps/answers.ts';
import { stall } from '../support/steps/silence.ts';
import type { RequestStep } from '../support/upstream/step.ts';

interface Seen {
  readonly status: number;
  readonly text: string;
  readonly source: string | undefined;
}

const seen = async (answer: RawResponse): Promise<Seen> => ({
  status: answer.status,
  text: await answer.text(),
  source: answer.header('x-outrigger-source'),
});

const pay = (port: number, key: string): Promise<Seen> =>
  request(
    port,
    { method: 'POST', path: '/api/pay', headers: { 'Idempotency-Key': key }, body: '{"pay":1}' },
    { timeoutMs: 15_000 },
  ).then(seen);

const get = (port: number, path = '/api/a'): Promise<Seen> =>
  request(port, { path }, { timeoutMs: 15_000 }).then(seen);

/** Each request gets the next of the steps, the last one again and again. */
function inOrder(...steps: readonly RequestStep[]): () => RequestStep {
  let at = 0;
  return () => steps[Math.min(at++, steps.length - 1)] as RequestStep;
}

const FRESH = { headers: { 'cache-control': 'max-age=60' } };
const AT_ONCE = 'retry: { maxRetries: 1, backoff: { initial: 1ms, max: 1ms } }';

let redis: RedisServer | undefined;

beforeAll(async () => {
  if (hasRedis) redis = await startRedis();
});

afterAll(async () => redis?.[Symbol.asyncDispose]());

describe.each([
  ['memory', true],
  ['Redis', hasRedis],
] as const)('in %s', (store, there) => {
  async function play(policies: string, step: () => RequestStep) {
    const upstream = await scriptedUpstream(step);
    // A prefix of its own for each test: they have one server.
    const prefix = `${Math.random().toString(36).slice(2)}:`;
    const state =
      store === 'Redis' ? `state: { redis: { url: "${redis?.url}", prefix: "${prefix}", timeout: 5s } }` : '';
    const sidecar = await startSidecar(`
${state}
upstreams:
  api:
    route: /api
    endpoints: [{ url: "${upstream.origin}" }]
    policies: { circuitBreaker: false, ${policies} }
`);
    return {
      upstream,
      port: sidecar.port,
      async [Symbol.asyncDispose]() {
        await sidecar[Symbol.asyncDispose]();
        await upstream[Symbol.asyncDispose]();
      },
    };
  }

  const test = it.skipIf(!there);

  test('idempotency -> retry: all tries are one run, whose end is the answer', async () => {
    await using stage = await play(
      `idempotency: {}, ${AT_ONCE}`,
      inOrder(respond({ status: 503 }), respond({ body: 'paid' })),
    );
    const [first, second] = await Promise.all([pay(stage.port, 'k'), pay(stage.port, 'k')]);
    const third = await pay(stage.port, 'k');
    expect([first, second, third].map(({ text }) => text)).toEqual(['paid', 'paid', 'paid']);
    expect([first, second, third].filter(({ source }) => source === 'replay')).toHaveLength(2);
    expect(stage.upstream.requests).toHaveLength(2);
  });

  test('idempotency -> hedge: the spare’s answer is everybody’s', async () => {
    await using stage = await play(
      'idempotency: {}, retry: false, hedge: { after: 20ms, budget: { floor: 5 } }',
      inOrder(stall(), respond({ body: 'spare' })),
    );
    const both = await Promise.all([pay(stage.port, 'k'), pay(stage.port, 'k')]);
    expect([...both, await pay(stage.port, 'k')].map(({ text }) => text)).toEqual([
      'spare',
      'spare',
      'spare',
    ]);
    expect(stage.upstream.requests).toHaveLength(2);
  });

  test('fallback -> cache -> retry: a stale answer when no try helps', async () => {
    await using stage = await play(
      `cache: { get: { ttl: 1ms } }, ${AT_ONCE}, fallback: [{ cache: stale }]`,
      inOrder(respond({ body: 'good' }), respond({ status: 503 })),
    );
    expect(await get(stage.port)).toMatchObject({ status: 200, text: 'good' });
    expect(await get(stage.port)).toEqual({ status: 200, text: 'good', source: 'cache' });
    expect(stage.upstream.requests).toHaveLength(3);
  });

  test('cache -> rate-limit -> bulkhead: a hit takes neither a token nor a place', async () => {
    await using stage = await play(
      'cache: {}, rateLimit: { requests: 1, per: 1h }, bulkhead: { maxConcurrent: 1, maxQueue: 0 }, retry: false',
      inOrder(respond({ body: 'kept', ...FRESH })),
    );
    expect((await get(stage.port)).text).toBe('kept');
    const hits = await Promise.all([1, 2, 3].map(() => get(stage.port)));
    expect(hits.map(({ text, source }) => [text, source])).toEqual(Array(3).fill(['kept', 'cache']));
    expect((await get(stage.port, '/api/other')).status).toBe(429);
    expect(stage.upstream.requests).toHaveLength(1);
  });

  test('rate-limit -> retry: a call counts once, however often it is tried', async () => {
    await using stage = await play(
      `rateLimit: { requests: 2, per: 1h }, ${AT_ONCE}`,
      inOrder(respond({ status: 503 }), respond({ body: 'at last' })),
    );
    const statuses: number[] = [];
    for (const path of ['/api/a', '/api/b', '/api/c']) statuses.push((await get(stage.port, path)).status);
    expect(statuses).toEqual([200, 200, 429]);
    expect(stage.upstream.requests).toHaveLength(3);
  });

  test('idempotency -> rate-limit: a refused call leaves its key free', async () => {
    await using stage = await play(
      'idempotency: {}, rateLimit: { requests: 1, per: 1h }, retry: false',
      inOrder(respond({ body: 'paid' })),
    );
    expect((await pay(stage.port, 'a')).text).toBe('paid');
    expect((await pay(stage.port, 'b')).status).toBe(429);
    expect((await pay(stage.port, 'b')).status).toBe(429);
    expect(await pay(stage.port, 'a')).toMatchObject({ text: 'paid', source: 'replay' });
    expect(stage.upstream.requests).toHaveLength(1);
  });
});
