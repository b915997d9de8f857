/**
 * Models that thought for more than five minutes were cut: the HTTP client has timers of its own, 300 s for the head and
 * for every pause in the body, that nobody had set. Here only what the operator sets can end an attempt.
 */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Client } from 'undici';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import { turns } from '../support/turns.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const HOUR_MS = 3_600_000;
const NO_TIMERS = 'policies: { deadline: { after: false }, attemptTimeout: false, retry: false }';
/** The waits of the tests run on the same fake timers. */
const PATIENT = { timeoutMs: 1_000_000_000 };

// Our own clock is a fake one anyway; these are the timers of everybody else. Once for all tests: the HTTP client goes on
// with a timer that it has.
beforeAll(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterAll(() => void vi.useRealTimers());

async function passAnHour(): Promise<void> {
  await turns(20);
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  await turns(20);
}

it('an hour before the head: the answer arrives', async () => {
  const gate = holdResponse(respond({ body: 'thought through' }));
  await using upstream = await scriptedUpstream([gate]);
  await using own = await ownSidecar(apiAt(upstream.origin, NO_TIMERS));
  const answer = request(own.port, { path: '/api/x' }, PATIENT);
  await gate.waitForHeld(1, PATIENT);
  await passAnHour();
  expect(own.sidecar.dataPlane.activeCount).toBe(1);
  gate.release();
  const response = await answer;
  expect([response.status, await response.text(PATIENT)]).toEqual([200, 'thought through']);
});

it('an hour in the middle of a body: the rest arrives', async () => {
  const stream = controlledStream();
  await using upstream = await scriptedUpstream([stream]);
  await using own = await ownSidecar(apiAt(upstream.origin, NO_TIMERS));
  const answer = request(own.port, { path: '/api/x' }, PATIENT);
  await stream.head();
  const response = await answer;
  for (const word of ['one', 'two']) {
    await stream.write(word);
    await response.nextChunk(PATIENT);
    await passAnHour();
  }
  await stream.end();
  expect(await response.text(PATIENT)).toBe('onetwo');
});

it('the same hour ends a request of the HTTP client where nobody sets its timers', async () => {
  await using upstream = await scriptedUpstream([stall(), stallAfterHead({}, ['part'])]);
  for (const name of ['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']) {
    const client = new Client(upstream.origin);
    const asked = client.request({ method: 'GET', path: '/' }).then(({ body }) => body.text());
    const ended = expect(asked).rejects.toMatchObject({ code: name });
    await upstream.waitForRequest(upstream.requests.length + 1, PATIENT);
    await passAnHour();
    await ended;
    await client.destroy();
  }
});
