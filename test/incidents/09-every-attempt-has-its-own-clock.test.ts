/**
 * The timer for the first token ran from the start of the request, so that a retry began with no time left. Every attempt
 * has all the time that is configured for one, whatever was used up before it.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { stall } from '../support/steps/silence.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const TIMERS = 'attemptTimeout: { firstByte: 10s, idle: 10s }';
const POLICIES = `policies: { ${TIMERS}, retry: { backoff: { initial: 0s, max: 0s } } }`;

it('attempts after two that used all of their time have all of it again', async () => {
  const gate = holdResponse(respond({ body: 'late, not too late' }));
  await using upstream = await scriptedUpstream([stall(), stall(), gate]);
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES));
  const answer = own.send();
  for (const number of [1, 2]) {
    await upstream.waitForRequest(number);
    await own.clock.advance(10_000);
  }
  await gate.waitForHeld();
  await own.clock.advance(9_999);
  gate.release();
  const response = await answer;
  expect([response.status, await response.text()]).toEqual([200, 'late, not too late']);
  expect(own.events.of('attempt-timed-out').map(({ afterMs }) => afterMs)).toEqual([10_000, 10_000]);
});

it('the timer of an attempt that failed early does not end the one after it', async () => {
  const failing = holdResponse(respond({ status: 503 }));
  const gate = holdResponse(respond({ body: 'ok' }));
  await using upstream = await scriptedUpstream([failing, gate]);
  const one = 'retry: { maxRetries: 1, backoff: { initial: 0s, max: 0s } }';
  await using own = await ownSidecar(apiAt(upstream.origin, `policies: { ${TIMERS}, ${one} }`));
  const answer = own.send();
  await failing.waitForHeld();
  await own.clock.advance(9_000);
  failing.release();
  await gate.waitForHeld();
  await own.clock.advance(9_000);
  expect(own.events.of('attempt-timed-out')).toEqual([]);
  await own.clock.advance(1_000);
  expect(own.events.of('attempt-timed-out')).toMatchObject([{ attempt: { number: 2 }, afterMs: 10_000 }]);
  expect((await answer).header('x-outrigger-code')).toBe('first_byte_timeout');
});

it('waiting for a retry takes nothing from the attempt that follows', async () => {
  const gate = holdResponse(respond({ body: 'ok' }));
  await using upstream = await scriptedUpstream([
    respond({ status: 429, headers: { 'retry-after': '25' } }),
    gate,
  ]);
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES));
  const answer = own.send();
  await own.until('retry-scheduled');
  await own.clock.advance(25_000);
  await gate.waitForHeld();
  await own.clock.advance(9_999);
  gate.release();
  expect(await (await answer).text()).toBe('ok');
});

it('the body of a retried answer may be silent for as long as that of a first one', async () => {
  const stream = controlledStream();
  await using upstream = await scriptedUpstream([stall(), stream]);
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES));
  const answer = own.send();
  await upstream.waitForRequest(1);
  await own.clock.advance(10_000);
  await upstream.waitForRequest(2);
  await own.clock.advance(9_000);
  await stream.head();
  const response = await answer;
  await own.clock.advance(9_999);
  await stream.write('data: 1\n\n');
  await response.nextChunk();
  await own.clock.advance(9_999);
  await stream.end();
  expect(await response.text()).toBe('data: 1\n\n');
});

it('an upstream that the ladder asks has timers of its own', async () => {
  const gate = holdResponse(respond({ body: 'from the spare' }));
  await using upstream = await scriptedUpstream([stall()]);
  await using spare = await scriptedUpstream([gate]);
  const others = `spare: { route: /spare, endpoints: [{ url: "${spare.origin}" }], policies: { ${TIMERS} } }`;
  const ladder = `policies: { ${TIMERS}, retry: false, fallback: [{ upstream: spare }] }`;
  await using own = await ownSidecar(apiAt(upstream.origin, ladder, others));
  const answer = own.send();
  await upstream.waitForRequest();
  await own.clock.advance(10_000);
  await gate.waitForHeld();
  await own.clock.advance(9_999);
  gate.release();
  expect(await (await answer).text()).toBe('from the spare');
});
