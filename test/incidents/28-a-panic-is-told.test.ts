/** A proxy routed to endpoints that it took for dead, and nobody could see it. A panic has a gauge, an event and a log line. */
import { expect, it } from 'vitest';
import { startSidecar } from '../support/start-sidecar.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { request } from '../support/raw-client.ts';

it('tells when all endpoints are used although none is well, and when that is over', async () => {
  const gone = respond({ status: 503 });
  await using a = await scriptedUpstream([gone]);
  await using b = await scriptedUpstream([gone]);
  const check =
    'http: { path: /healthz }, interval: 20ms, fastInterval: 5ms, jitter: 0, fall: 2, rise: 1, startGrace: 0s';
  await using own = await startSidecar(
    `upstreams: { api: { route: /api, endpoints: [{ url: "${a.origin}" }, { url: "${b.origin}" }], healthCheck: { ${check} } } }`,
  );
  const [begun] = await own.waitForEvent('panic-changed');
  expect(begun).toEqual({ upstream: 'api', panicking: true, available: 0, endpoints: 2 });
  expect(await own.metric('outrigger_upstream_panic', { upstream: 'api' })).toBe(1);
  expect((await request(own.port, { path: '/api/x' })).status).toBe(503);
  a.play([respond()]);
  const told = await own.waitForEvent('panic-changed', 2);
  expect(told[1]).toEqual({ upstream: 'api', panicking: false, available: 1, endpoints: 2 });
  expect(await own.metric('outrigger_upstream_panic', { upstream: 'api' })).toBe(0);
  const lines = own.logLines().filter(({ msg }) => String(msg).startsWith('panic'));
  expect(lines.map(({ level, msg, upstream }) => [level, msg, upstream])).toEqual([
    ['warn', 'panic: too few endpoints are well', 'api'],
    ['info', 'panic is over', 'api'],
  ]);
  const entries = own.sidecar.journal.entries().filter(({ event }) => event === 'panic-changed');
  expect(entries.map(({ upstream, detail }) => [upstream, detail['panicking']])).toEqual([
    ['api', true],
    ['api', false],
  ]);
});
