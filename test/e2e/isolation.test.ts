/** One upstream that is stuck takes nothing from the others: each has its own places, its own queue and its own time. */
import { expect, it } from 'vitest';
import { rawClient, request } from '../support/raw-client.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar, type TestSidecar } from '../support/start-sidecar.ts';
import { respond } from '../support/steps/answers.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { stall } from '../support/steps/silence.ts';

interface Dependency {
  readonly name: string;
  readonly upstream: ScriptedUpstream;
  readonly maxConcurrent: number;
  readonly timeout: string;
}

const sectionOf = ({ name, upstream, maxConcurrent, timeout }: Dependency): string => `
  ${name}:
    route: /${name}
    endpoints: [{ url: "${upstream.origin}" }]
    policies:
      bulkhead: { maxConcurrent: ${maxConcurrent}, maxQueue: 2, queueTimeout: ${timeout} }
      deadline: { after: ${timeout} }
      retry: false
      circuitBreaker: false`;

const sidecarFor = (all: readonly Dependency[]): Promise<TestSidecar> =>
  startSidecar(`upstreams:${all.map(sectionOf).join('')}\n`);

const statusAt = async (port: number, path: string, headers: Record<string, string> = {}): Promise<number> =>
  (await request(port, { path, headers })).status;

it('a stuck upstream starves no other: 8 places and 10 s, 16 and 5 s, 4 and 30 s', async () => {
  await using search = await scriptedUpstream([stall()]);
  await using memory = await scriptedUpstream([respond({ body: 'ok' })]);
  await using model = await scriptedUpstream([respond({ body: 'ok' })]);
  await using proxy = await sidecarFor([
    { name: 'search', upstream: search, maxConcurrent: 8, timeout: '10s' },
    { name: 'memory', upstream: memory, maxConcurrent: 16, timeout: '5s' },
    { name: 'model', upstream: model, maxConcurrent: 4, timeout: '30s' },
  ]);
  const stuck = Array.from({ length: 10 }, () => statusAt(proxy.port, '/search').catch(() => 0));
  await search.waitForRequest(8);
  await expect.poll(() => proxy.metric('outrigger_bulkhead_queue_length', { upstream: 'search' })).toBe(2);

  const refused = await request(proxy.port, { path: '/search' });
  expect(refused.status).toBe(503);
  expect(refused.header('x-outrigger-code')).toBe('concurrency_limit');
  expect(refused.header('proxy-status')).toContain('error=connection_limit_reached');
  expect(Number(refused.header('retry-after'))).toBeGreaterThanOrEqual(1);

  const others = ['/memory', '/model'].flatMap((path) => Array.from({ length: 20 }, () => path));
  for (const path of others) expect(await statusAt(proxy.port, path)).toBe(200);
  expect(search.exchanges.peak).toBe(8);
  expect(await proxy.metric('outrigger_bulkhead_active', { upstream: 'search' })).toBe(8);
  expect(await proxy.metric('outrigger_bulkhead_limit', { upstream: 'memory' })).toBe(16);
  expect(await proxy.metric('outrigger_bulkhead_refused_total', { upstream: 'search' })).toBe(1);

  await search.kill();
  expect((await Promise.all(stuck)).filter((status) => status === 502)).toHaveLength(10);
  expect(await proxy.metric('outrigger_bulkhead_active', { upstream: 'search' })).toBe(0);
});

it('holds as many at the upstream as it has places, however many come', async () => {
  const gate = holdResponse(respond({ body: 'ok' }));
  await using model = await scriptedUpstream([gate]);
  await using proxy = await startSidecar(`
upstreams:
  model:
    route: /model
    endpoints: [{ url: "${model.origin}" }]
    policies: { bulkhead: { maxConcurrent: 4 } }
`);
  const all = Array.from({ length: 12 }, () => statusAt(proxy.port, '/model'));
  for (let round = 0; round < 3; round++) {
    await gate.waitForHeld(4);
    for (let i = 0; i < 4; i++) gate.releaseOne();
  }
  expect(await Promise.all(all)).toEqual(Array.from({ length: 12 }, () => 200));
  expect(model.exchanges.peak).toBe(4);
});

it('important calls go first where there is a queue, and nobody is forgotten', async () => {
  const gate = holdResponse(respond({ body: 'ok' }));
  await using model = await scriptedUpstream([gate]);
  await using proxy = await startSidecar(`
upstreams:
  model:
    route: /model
    endpoints: [{ url: "${model.origin}" }]
    policies: { bulkhead: { maxConcurrent: 1, priority: { agents: { nightly: low } } } }
`);
  const queued = (): Promise<number> =>
    proxy.metric('outrigger_bulkhead_queue_length', { upstream: 'model' });
  const calls: [string, Record<string, string>][] = [
    ['/model/first', {}],
    ['/model/nightly', { 'x-agent-id': 'nightly' }],
    ['/model/usual', { 'x-agent-id': 'desk' }],
    ['/model/important', { 'x-agent-id': 'desk', 'x-priority': 'high' }],
  ];
  const all: Promise<number>[] = [];
  for (const [number, [path, headers]] of calls.entries()) {
    all.push(statusAt(proxy.port, path, headers));
    await gate.waitForHeld(1);
    await expect.poll(queued).toBe(number);
  }
  for (let i = 0; i < calls.length; i++) {
    await model.waitForRequest(i + 1);
    gate.releaseOne();
  }
  expect(await Promise.all(all)).toEqual([200, 200, 200, 200]);
  expect(model.requests.map(({ target }) => target)).toEqual(['/first', '/important', '/usual', '/nightly']);
});

it('a client that leaves the queue makes room in it at once', async () => {
  const gate = holdResponse(respond({ body: 'ok' }));
  await using model = await scriptedUpstream([gate]);
  await using proxy = await startSidecar(`
upstreams:
  model:
    route: /model
    endpoints: [{ url: "${model.origin}" }]
    policies: { bulkhead: { maxConcurrent: 1, maxQueue: 1 } }
`);
  const queued = (): Promise<number> =>
    proxy.metric('outrigger_bulkhead_queue_length', { upstream: 'model' });
  const first = statusAt(proxy.port, '/model');
  await gate.waitForHeld(1);
  const client = await rawClient(proxy.port);
  client.request({ path: '/model' }).catch(() => undefined);
  await expect.poll(queued).toBe(1);
  expect(await statusAt(proxy.port, '/model')).toBe(503);
  client.destroy();
  await expect.poll(queued).toBe(0);
  const last = statusAt(proxy.port, '/model');
  await expect.poll(queued).toBe(1);
  gate.release();
  expect(await Promise.all([first, last])).toEqual([200, 200]);
  expect(model.requests).toHaveLength(2);
});
