import { expect, test } from 'vitest';
import { AdminPlane } from '../../src/admin/admin-plane.ts';
import { systemClock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import { Supervisor } from '../../src/runtime/supervisor.ts';
import { Bus } from '../../src/telemetry/bus.ts';
import { Journal } from '../../src/telemetry/journal.ts';
import type { Metrics } from '../../src/telemetry/metrics.ts';
import { ConnectionWatch } from '../../src/transport/connection-watch.ts';
import { VERSION } from '../../src/version.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { adminWith, ask, IDLE_UPSTREAM } from './fixture.ts';

const upstreamAt = (origin: string, rest = ''): string => `
upstreams:
  models:
    route: /models
    endpoints: [{ url: "${origin}" }]
    policies: { retry: false, circuitBreaker: { consecutiveFailures: 1, openFor: 5m } }
${rest}`;

test.each(['/health', '/livez'])('%s says that the process lives, and which version it is', async (path) => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await admin.get(path);
  expect(answer.status).toBe(200);
  expect(answer.json).toEqual({ status: 'ok', version: VERSION });
});

test.each(['/ready', '/readyz'])('%s is 200 once a configuration is in force', async (path) => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await admin.get(path);
  expect(answer.status).toBe(200);
  expect(answer.json).toEqual({
    ready: true,
    reasons: [],
    draining: false,
    active: 0,
    tunnels: 0,
    config: { generation: 1, hash: admin.sidecar.supervisor.runtime.hash },
    problems: { count: 0, lines: [] },
    upstreams: [{ name: 'models', breaker: 'closed' }],
  });
});

test('an upstream without a breaker has none in /ready', async () => {
  await using admin = await adminWith(`${IDLE_UPSTREAM}    policies: { circuitBreaker: false }\n`);
  expect((await admin.get('/ready')).json['upstreams']).toEqual([{ name: 'models', breaker: null }]);
});

test('/ready is 503 and /health 200 before any configuration is in force', async () => {
  const bus = new Bus();
  const watch = new ConnectionWatch();
  const supervisor = new Supervisor(
    { files: [], env: {}, sets: [] },
    { clock: systemClock, random: seededRandom(1), emit: bus.emit, watch },
  );
  const plane = new AdminPlane({
    supervisor,
    metrics: undefined as unknown as Metrics,
    journal: new Journal(systemClock),
    agent: () => undefined,
    status: () => ({ draining: false, active: 0, tunnels: 0 }),
    registry: () => undefined,
    reload: (cause) => supervisor.reload(cause),
  });
  await plane.listen('127.0.0.1:0');
  try {
    const port = plane.address()?.port ?? 0;
    const ready = await ask(port, { path: '/ready' });
    expect(ready.status).toBe(503);
    expect(ready.json).toMatchObject({ reasons: ['no configuration is in force yet'], config: null });
    expect((await ask(port, { path: '/health' })).status).toBe(200);
    expect((await ask(port, { path: '/admin/upstreams' })).json).toMatchObject({ code: 'no_configuration' });
  } finally {
    await plane.close();
    watch.dispose();
  }
});

test('while draining /ready is 503, everything else goes on, and the exchange under way is counted', async () => {
  const held = holdResponse(respond({ body: 'late' }));
  await using upstream = await scriptedUpstream([held]);
  await using admin = await adminWith(upstreamAt(upstream.origin));
  const underWay = admin.call('/models/x');
  await held.waitForHeld();
  const stopped = admin.sidecar.stop();

  const ready = await admin.get('/ready');
  expect(ready.status).toBe(503);
  expect(ready.json).toMatchObject({ reasons: ['the sidecar is shutting down'], draining: true, active: 1 });
  expect((await admin.get('/health')).status).toBe(200);
  expect((await admin.get('/metrics')).status).toBe(200);
  expect((await admin.get('/admin/upstreams')).status).toBe(200);

  held.release();
  expect((await underWay).text).toBe('late');
  expect(await stopped).toEqual({ brokenOff: 0 });
  await expect(admin.get('/health')).rejects.toThrow('ECONNREFUSED');
});

test('the plane answers while the data plane has all the connections that it may have', async () => {
  const held = holdResponse(respond({ body: 'ok' }));
  await using upstream = await scriptedUpstream([held]);
  await using admin = await adminWith(upstreamAt(upstream.origin, 'server: { maxConnections: 20 }'));
  const underWay = Array.from({ length: 20 }, () => admin.call('/models/x'));
  await held.waitForHeld(20);
  await expect(admin.call('/models/x')).rejects.toThrow();
  expect((await admin.get('/ready')).json).toMatchObject({ ready: true, active: 20 });
  expect((await admin.get('/metrics')).status).toBe(200);
  held.release();
  for (const answer of await Promise.all(underWay)) expect(answer.text).toBe('ok');
});

test('a rejected reload leaves the sidecar ready and lists what was wrong, one line each', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  await admin.rewrite(`${IDLE_UPSTREAM}\nserver: { keepAlive: soon }\nlogging: { levle: info }\n`);
  await admin.sidecar.reload('test');
  const answer = await admin.get('/ready');
  expect(answer.status).toBe(200);
  const { count, lines } = answer.json['problems'] as { count: number; lines: string[] };
  expect(count).toBe(2);
  expect(lines).toHaveLength(2);
  expect(lines.every((line) => line.startsWith(`${admin.file}:`) && !line.includes('\n'))).toBe(true);
  expect(lines.join()).toContain('server.keepAlive');
});

test('an open breaker shows in /ready but does not fail it', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 500 })]);
  await using admin = await adminWith(upstreamAt(upstream.origin));
  await admin.call('/models/x');
  const answer = await admin.get('/ready');
  expect(answer.status).toBe(200);
  expect(answer.json['upstreams']).toEqual([{ name: 'models', breaker: 'open' }]);
});

test('an open breaker fails /ready where admin.readyNeedsUpstreams says so, but never /health', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 500 })]);
  await using admin = await adminWith(upstreamAt(upstream.origin, 'admin: { readyNeedsUpstreams: true }'));
  expect((await admin.get('/ready')).status).toBe(200);
  await admin.call('/models/x');
  const answer = await admin.get('/ready');
  expect(answer.status).toBe(503);
  expect(answer.json['reasons']).toEqual(['the circuit breaker of models is open']);
  expect((await admin.get('/health')).status).toBe(200);
});

test('an isolated breaker fails /ready where admin.readyNeedsUpstreams says so', async () => {
  await using admin = await adminWith(`${IDLE_UPSTREAM}\nadmin: { readyNeedsUpstreams: true }\n`);
  await admin.post('/admin/upstreams/models/breaker', { json: { state: 'open' } });
  expect((await admin.get('/ready')).json).toMatchObject({
    ready: false,
    reasons: ['the circuit breaker of models is isolated'],
  });
});

test('a breaker that is open beyond its time does not fail /ready, for it waits for a call to probe with', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 500 })]);
  const yaml = upstreamAt(upstream.origin, 'admin: { readyNeedsUpstreams: true }').replace('5m', '1ms');
  await using admin = await adminWith(yaml);
  await admin.call('/models/x');
  await expect.poll(async () => (await admin.get('/ready')).status).toBe(200);
  expect((await admin.get('/ready')).json['upstreams']).toEqual([{ name: 'models', breaker: 'open' }]);
});

test('HEAD is answered like GET, without a body', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await ask(admin.adminPort, { method: 'HEAD', path: '/ready' });
  expect([answer.status, answer.text]).toEqual([200, '']);
});
