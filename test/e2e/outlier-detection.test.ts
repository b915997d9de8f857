/** Endpoints that die and come back, on real sockets: who notices, after how many attempts, and what is lost. */
import { expect, test } from 'vitest';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar, type TestSidecar } from '../support/start-sidecar.ts';
import { respond } from '../support/steps/answers.ts';
import { holdResponse } from '../support/steps/hold-response.ts';

const configOf = (upstreams: readonly ScriptedUpstream[], detection = '{}'): string => `
upstreams:
  api:
    route: /api
    endpoints: [${upstreams.map(({ origin }) => `{ url: "${origin}" }`).join(', ')}]
    policies:
      retry: { backoff: { initial: 1ms } }
      outlierDetection: ${detection}
`;

const named = (name: string): Promise<ScriptedUpstream> => scriptedUpstream([respond({ body: name })]);

/** @returns who answered, or the status that nobody did with */
async function call({ port }: TestSidecar, init: { method?: string } = {}): Promise<string> {
  const response = await request(port, { path: '/api/x', ...init });
  const text = await response.text();
  return response.status === 200 ? text : `${response.status}`;
}

async function calls(sidecar: TestSidecar, count: number): Promise<string[]> {
  const all: string[] = [];
  for (let n = 0; n < count; n++) all.push(await call(sidecar));
  return all;
}

/** Attempts at it that failed. */
const failedAt = (sidecar: TestSidecar, { origin }: ScriptedUpstream): number =>
  sidecar
    .eventsNamed('attempt-ended')
    .filter(({ attempt }) => attempt.endpoint.origin === origin && attempt.reason !== undefined).length;

test('a killed endpoint costs one failed attempt, loses nothing, and comes back by itself', async () => {
  await using a = await named('a');
  await using b = await named('b');
  await using sidecar = await startSidecar(configOf([a, b], '{ ejectFor: 300ms }'));
  expect(new Set(await calls(sidecar, 4))).toEqual(new Set(['a', 'b']));

  await a.kill();
  const during = await calls(sidecar, 10);
  expect(new Set(during)).toEqual(new Set(['b']));
  // On a slow machine its time may be over meanwhile: then one more call finds out that it is still away.
  const [first, ...again] = sidecar.eventsNamed('endpoint-ejected');
  expect(first).toMatchObject({ endpoint: a.origin, reason: 'connect' });
  expect(again.every(({ endpoint, reason }) => endpoint === a.origin && reason === 'probe')).toBe(true);
  expect(failedAt(sidecar, a)).toBeLessThanOrEqual(1 + again.length);
  expect(await sidecar.metric('outrigger_outlier_ejected')).toBe(1);

  await a.restart();
  await expect.poll(() => call(sidecar), { interval: 20, timeout: 5_000 }).toBe('a');
  await sidecar.waitForEvent('endpoint-returned');
  expect(new Set(await calls(sidecar, 4))).toEqual(new Set(['a', 'b']));
  expect(await sidecar.metric('outrigger_outlier_returns_total', { by: 'probe' })).toBe(1);
  expect(
    sidecar.eventsNamed('exchange-ended').filter(({ exchange }) => exchange.attempts.length > 2),
  ).toEqual([]);
});

test('while it is away, probes fail unseen, and ever more rarely', async () => {
  await using a = await named('a');
  await using b = await named('b');
  await using sidecar = await startSidecar(configOf([a, b], '{ ejectFor: 20ms }'));
  await a.kill();
  while (sidecar.eventsNamed('endpoint-ejected').length < 4) expect(await call(sidecar)).toBe('b');
  const times = sidecar.eventsNamed('endpoint-ejected').map(({ forMs }) => forMs);
  expect(times.map((ms) => Math.floor(ms / 20))).toEqual([1, 2, 3, 4]);
});

test('calls under way at the endpoint that dies are made again elsewhere, where that does no harm', async () => {
  const held = holdResponse(respond({ body: 'a' }));
  await using a = await scriptedUpstream([held]);
  await using b = await named('b');
  await using sidecar = await startSidecar(configOf([a, b]));
  const all = Promise.all(Array.from({ length: 6 }, () => call(sidecar)));
  await held.waitForHeld(3);
  await a.kill();
  expect(await all).toEqual(Array.from({ length: 6 }, () => 'b'));
  expect(await calls(sidecar, 4)).toEqual(['b', 'b', 'b', 'b']);
});

test('with both gone, one stays, and the client is told', async () => {
  await using a = await named('a');
  await using b = await named('b');
  await using sidecar = await startSidecar(configOf([a, b]));
  await a.kill();
  await b.kill();
  expect(await call(sidecar)).toBe('502');
  expect(sidecar.eventsNamed('endpoint-ejected')).toHaveLength(1);
  expect(sidecar.eventsNamed('ejection-withheld')).toMatchObject([{ why: 'last' }]);
  await sidecar.waitForLines(({ msg }) => msg === 'endpoint ejected');
  await sidecar.waitForLines(({ msg }) => msg === 'endpoint fails, but stays');
});
