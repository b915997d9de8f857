/**
 * One client with a timeout of a few milliseconds, or with requests that no server could accept, had the endpoint put
 * out of service for everybody. What a client causes says nothing about the health of the upstream.
 */
import { expect, it } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { stall } from '../support/steps/silence.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const BREAKER =
  'policies: { circuitBreaker: { consecutiveFailures: 2, minimumCalls: 2, failureRatio: 0.1 } }';

it('ten callers that wait for five milliseconds leave it closed', async () => {
  await using upstream = await scriptedUpstream([stall()]);
  await using own = await ownSidecar(apiAt(upstream.origin, BREAKER));
  for (let n = 1; n <= 10; n++) {
    const answer = own.send({ headers: { 'x-request-timeout-ms': '5' } });
    await upstream.waitForRequest(n);
    await own.clock.advance(5);
    const response = await answer;
    expect([response.status, response.header('x-outrigger-code')]).toEqual([504, 'deadline_exceeded']);
  }
  expect(own.events.of('breaker-changed')).toEqual([]);
});

it.each([400, 401, 404, 413, 422])(
  'requests that the upstream answers %i leave it closed',
  async (status) => {
    await using upstream = await scriptedUpstream([respond({ status })]);
    await using own = await ownSidecar(apiAt(upstream.origin, BREAKER));
    for (let n = 1; n <= 10; n++) expect((await own.send()).status).toBe(status);
    expect(own.events.of('breaker-changed')).toEqual([]);
  },
);

it('broken requests and uploads that break off leave it closed', async () => {
  await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
  await using own = await ownSidecar(apiAt(upstream.origin, BREAKER));
  for (let n = 1; n <= 5; n++) {
    await using wrong = await rawClient(own.port);
    void wrong.send('POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n');
    expect((await wrong.response('POST')).status).toBe(400);
    await using leaving = await rawClient(own.port);
    void leaving.send(
      `POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 900000\r\n\r\n${'x'.repeat(99_000)}`,
    );
    await upstream.waitForRequestHead(n);
    leaving.destroy();
    expect((await upstream.waitForRequest(n)).upload).toBe('cut');
  }
  await own.until('exchange-ended', 5);
  expect(own.events.of('breaker-changed')).toEqual([]);
  expect(await (await own.send()).text()).toBe('ok');
});
