/**
 * Nothing had been sent to the client, and still there was no further try: the proxy took itself for committed. Until an
 * attempt has brought the head that the client gets, every attempt and the fallback are open; after that, nothing is.
 */
import { expect, it } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { informational, respond } from '../support/steps/answers.ts';
import { closeBeforeResponse, closeMidHead } from '../support/steps/cuts.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { garbage } from '../support/steps/malformed.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const AT_ONCE = 'backoff: { initial: 0s, max: 0s }, budget: false';
const policies = (maxRetries: number): string =>
  `policies: { retry: { maxRetries: ${maxRetries}, ${AT_ONCE} }, circuitBreaker: false, fallback: [{ upstream: spare }] }`;
const spareAt = (origin: string): string =>
  `spare: { route: /spare, endpoints: [{ url: "${origin}" }], policies: { retry: false } }`;

/** A 503 that had begun to tell why, and broke. */
const brokenRefusal = respond({
  status: 503,
  headers: { 'content-length': '100', 'x-from': 'a failed attempt' },
  body: 'not for the client',
  afterwards: 'fin',
});
const hintThenClose = informational([{ status: 103, headers: { link: '</x>' } }], closeBeforeResponse());

it('attempts that fail at every point before the answer are followed by another', async () => {
  const failing: readonly RequestStep[] = [closeMidHead(), brokenRefusal, hintThenClose, garbage(), stall()];
  await using upstream = await scriptedUpstream([...failing, respond({ body: 'whole' })]);
  await using own = await ownSidecar(apiAt(upstream.origin, policies(5), spareAt('http://127.0.0.1:1')));
  const answer = own.send();
  await upstream.waitForRequest(5);
  await own.clock.advance(60_000);
  const response = await answer;
  expect([response.status, await response.text()]).toEqual([200, 'whole']);
  expect(response.header('x-from')).toBeUndefined();
  expect(response.interim.map(({ status }) => status)).toEqual([103]);
  const [ending] = await own.until('exchange-ended');
  expect(ending?.exchange.attempts.map(({ status, reason }) => status ?? reason)).toEqual([
    'response_incomplete',
    503,
    'response_incomplete',
    'protocol_error',
    'first_byte_timeout',
    200,
  ]);
});

it('a broken answer of the last attempt does not keep the fallback from answering', async () => {
  await using upstream = await scriptedUpstream([brokenRefusal]);
  await using spare = await scriptedUpstream([respond({ body: 'from the spare' })]);
  await using own = await ownSidecar(apiAt(upstream.origin, policies(1), spareAt(spare.origin)));
  const response = await own.send();
  expect([response.status, await response.text()]).toEqual([200, 'from the spare']);
  expect(upstream.requests).toHaveLength(2);
});

it('a ladder without a step for this request does not cost the answer that was on its way', async () => {
  const gate = holdResponse(respond({ body: 'slow, and good' }));
  await using upstream = await scriptedUpstream([gate]);
  const steps = 'steps: [{ upstream: spare, rewrite: { body: { model: small } } }]';
  const ladder = `policies: { retry: false, fallback: { after: 1s, ${steps} } }`;
  await using own = await ownSidecar(apiAt(upstream.origin, ladder, spareAt('http://127.0.0.1:1')));
  const answer = own.send({ method: 'POST', body: 'not JSON' });
  await gate.waitForHeld();
  await own.clock.advance(1_000);
  gate.release();
  expect((await answer).received.toString()).toBe('slow, and good');
});

it('with the head of its answer, an attempt closes everything, be it without a byte of the body', async () => {
  await using upstream = await scriptedUpstream([stallAfterHead()]);
  await using spare = await scriptedUpstream([respond()]);
  await using own = await ownSidecar(apiAt(upstream.origin, policies(5), spareAt(spare.origin)));
  const response = await own.send();
  await own.clock.advance(120_000);
  expect([await response.ended(), response.received.length]).toEqual(['cut', 0]);
  await own.until('exchange-ended');
  expect(own.events.names).not.toContain('retry-scheduled');
  expect(own.events.names).not.toContain('fallback-taken');
  expect([upstream.requests.length, spare.requests.length]).toEqual([1, 0]);
});

it('an answer that was committed says nothing about the next one on the same connection', async () => {
  await using upstream = await scriptedUpstream([
    respond({ body: 'first' }),
    brokenRefusal,
    respond({ body: 'second' }),
  ]);
  await using own = await ownSidecar(apiAt(upstream.origin, policies(1), spareAt('http://127.0.0.1:1')));
  await using client = await rawClient(own.port);
  expect(await (await client.request({ path: '/api/a' })).text()).toBe('first');
  const second = await client.request({ path: '/api/b' });
  expect([second.header('x-outrigger-attempts'), await second.text()]).toEqual(['2', 'second']);
});
