/**
 * Clients had gone, and the upstream went on generating, at their expense. When the client's connection closes, what was
 * asked for it ends, and what was planned for it does not begin.
 */
import { expect, it } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { flood, respond } from '../support/steps/answers.ts';
import { stall } from '../support/steps/silence.ts';
import { turns } from '../support/turns.ts';
import { apiAt, ownSidecar, type OwnSidecar } from './own-sidecar.ts';

const GIB = 1024 * 1024 * 1024;
const urlOf = ({ port }: OwnSidecar): string => `http://127.0.0.1:${port}/api/v1/chat`;

/** @param atRest timers of this sidecar when it had nothing to do */
async function expectNothingMore(own: OwnSidecar, atRest: number, attempts = 1): Promise<void> {
  const [ending] = await own.until('exchange-ended');
  expect(ending).toMatchObject({ result: 'aborted', reason: 'client_aborted' });
  await own.clock.advance(3_600_000);
  await turns(20);
  expect(ending?.exchange.attempts).toHaveLength(attempts);
  expect(own.sidecar.dataPlane.activeCount).toBe(0);
  expect(own.clock.pendingTimers).toBe(atRest);
  expect(await own.series('outrigger_client_aborts_total')).toEqual([
    'outrigger_client_aborts_total{upstream="api"} 1',
  ]);
}

it('a stream whose reader aborts is not generated any further', async () => {
  await using upstream = await scriptedUpstream([flood(4 * GIB)]);
  await using own = await ownSidecar(apiAt(upstream.origin));
  const atRest = own.clock.pendingTimers;
  const leaving = new AbortController();
  const response = await fetch(urlOf(own), { method: 'POST', body: '{}', signal: leaving.signal });
  const reader = response.body?.getReader();
  await reader?.read();
  leaving.abort();
  await expect(reader?.closed).rejects.toThrow();
  await upstream.waitForAbort();
  const { answeredBytes } = upstream.requests[0] ?? { answeredBytes: GIB };
  await expectNothingMore(own, atRest);
  expect(upstream.requests[0]?.answeredBytes).toBe(answeredBytes);
  expect(answeredBytes).toBeLessThan(GIB / 4);
});

it('a question whose asker aborts is taken back from the upstream, and asked nowhere else', async () => {
  await using upstream = await scriptedUpstream([stall()]);
  const others = `spare: { route: /spare, endpoints: [{ url: "${upstream.origin}/spare" }] }`;
  const policies = 'policies: { fallback: [{ upstream: spare }] }';
  await using own = await ownSidecar(apiAt(upstream.origin, policies, others));
  const atRest = own.clock.pendingTimers;
  const leaving = new AbortController();
  const asked = fetch(urlOf(own), { signal: leaving.signal });
  await upstream.waitForRequest();
  leaving.abort();
  await expect(asked).rejects.toThrow();
  await upstream.waitForAbort();
  await expectNothingMore(own, atRest);
  expect(upstream.requests).toHaveLength(1);
});

it('a retry whose client leaves during the wait is not made', async () => {
  await using upstream = await scriptedUpstream([
    respond({ status: 429, headers: { 'retry-after': '20' } }),
    respond(),
  ]);
  await using own = await ownSidecar(apiAt(upstream.origin));
  const atRest = own.clock.pendingTimers;
  const leaving = new AbortController();
  const asked = fetch(urlOf(own), { method: 'POST', body: '{}', signal: leaving.signal });
  await own.until('retry-scheduled');
  await own.clock.advance(10_000);
  leaving.abort();
  await expect(asked).rejects.toThrow();
  await expectNothingMore(own, atRest);
  expect(upstream.requests).toHaveLength(1);
});

it('a ladder whose client leaves is not climbed any further', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 503 })]);
  await using spare = await scriptedUpstream([stall()]);
  const others = `spare: { route: /spare, endpoints: [{ url: "${spare.origin}" }] }`;
  const policies = 'policies: { retry: false, fallback: [{ upstream: spare }, { static: { body: sorry } }] }';
  await using own = await ownSidecar(apiAt(upstream.origin, policies, others));
  const atRest = own.clock.pendingTimers;
  await using client = await rawClient(own.port);
  client.request({ path: '/api/x' }).catch(() => undefined);
  await spare.waitForRequest();
  client.destroy();
  await spare.waitForAbort();
  await expectNothingMore(own, atRest, 2);
  expect([upstream.requests.length, spare.requests.length]).toEqual([1, 1]);
  expect(own.events.of('fallback-taken').map(({ step }) => step)).not.toContain('static');
});

it('a client that leaves takes back all that it had lined up on its connection', async () => {
  await using upstream = await scriptedUpstream([stall()]);
  await using own = await ownSidecar(apiAt(upstream.origin));
  const atRest = own.clock.pendingTimers;
  await using client = await rawClient(own.port);
  const line = 'GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n';
  void client.send(line.repeat(3));
  await upstream.waitForRequest(3);
  client.reset();
  await upstream.waitForAbort(3);
  const endings = await own.until('exchange-ended', 3);
  expect(endings.map(({ result }) => result)).toEqual(['aborted', 'aborted', 'aborted']);
  expect(own.clock.pendingTimers).toBe(atRest);
});
