/** The circuit breaker against real failures: what counts, what does not, and how it finds back. */
import { expect, test } from 'vitest';
import { apiAt, ownSidecar } from '../incidents/own-sidecar.ts';
import type { RawResponse } from '../support/client/raw-response.ts';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { resetOnAccept, staleKeepAlive } from '../support/steps/connections.ts';
import { closeBeforeResponse, cutMidBody, resetMidBody } from '../support/steps/cuts.ts';
import { holdResponse, type HeldResponse } from '../support/steps/hold-response.ts';
import { garbage } from '../support/steps/malformed.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import type { Step } from '../support/upstream/step.ts';
import { stage, type Stage } from './stage.ts';

const TIMERS = 'attemptTimeout: { connect: 80ms, firstByte: 80ms, idle: 80ms }';
const breaker = (options: string, timers = ''): { api: string } => ({
  api: `policies: { retry: false, ${timers} circuitBreaker: { failureRatio: false, ${options} } }`,
});

async function callAndForget(on: Stage): Promise<number> {
  const response = await on.send();
  await response.ended();
  return response.status;
}

const states = (on: Stage): string[] => on.sidecar.eventsNamed('breaker-changed').map(({ to }) => to);

const transitions = (on: Stage, to: string): Promise<number> =>
  on.sidecar.metric('outrigger_breaker_transitions_total', { upstream: 'api', to });

const counting: readonly [title: string, step: Step, timers?: string][] = [
  ['resets on accept', resetOnAccept()],
  ['connections that close before the answer', closeBeforeResponse()],
  ['answers that never come', stall(), `${TIMERS},`],
  ['malformed answers', garbage()],
  ['server errors', respond({ status: 500 })],
  ['bodies cut by FIN', cutMidBody()],
  ['bodies cut by RST', resetMidBody({ framing: 'chunked' })],
  ['bodies that stop', stallAfterHead({}, ['partial']), `${TIMERS},`],
];

test.each(counting)('opens after three %s, and refuses at once', async (_, step, timers) => {
  await using on = await stage([step], breaker('consecutiveFailures: 3, openFor: 30s', timers));
  for (let n = 1; n <= 3; n++) await callAndForget(on);
  await on.sidecar.waitForEvent('breaker-changed');
  expect(states(on)).toEqual(['open']);
  const seen = on.upstream.connections.opened;
  const refused = await on.send({ method: 'POST', body: 'x' });
  expect(refused.status).toBe(503);
  expect(refused.header('x-outrigger-code')).toBe('circuit_open');
  expect(refused.header('proxy-status')).toContain('; error=destination_unavailable');
  expect(refused.header('x-outrigger-attempts')).toBe('0');
  expect(Number(refused.header('retry-after'))).toBeGreaterThanOrEqual(27);
  expect(on.upstream.connections.opened).toBe(seen);
  expect(await transitions(on, 'open')).toBe(1);
  expect(await on.sidecar.metric('outrigger_breaker_refused_total', { upstream: 'api' })).toBe(1);
  expect(await on.sidecar.metric('outrigger_breaker_state', { upstream: 'api', state: 'open' })).toBe(1);
});

test.each([400, 401, 404, 409, 429])('%i says nothing about health: it stays closed', async (status) => {
  await using on = await stage([respond({ status })], breaker('consecutiveFailures: 2'));
  for (let n = 1; n <= 4; n++) expect(await callAndForget(on)).toBe(status);
  expect(states(on)).toEqual([]);
});

test('clients that leave say nothing about health, before the answer or in the middle of it', async () => {
  const streaming = stallAfterHead({}, ['partial']);
  await using on = await stage([stall(), streaming, stall(), streaming], breaker('consecutiveFailures: 2'));
  for (let n = 1; n <= 4; n++) {
    const client = await rawClient(on.port);
    const answer = client.request({ path: '/api/x' });
    if (n % 2 === 0) await (await answer).waitForBytes(7);
    else await on.upstream.waitForRequest(n);
    client.destroy();
    await on.upstream.waitForAbort(n);
  }
  await on.sidecar.waitForEvent('exchange-ended', 4);
  expect(states(on)).toEqual([]);
  expect(await on.sidecar.metric('outrigger_client_aborts_total', { upstream: 'api' })).toBe(4);
});

test('callers whose time is up in the middle of an answer say nothing about health', async () => {
  await using upstream = await scriptedUpstream([
    stallAfterHead({ headers: { 'content-type': 'application/json' } }, ['{']),
  ]);
  const policies = 'policies: { circuitBreaker: { consecutiveFailures: 2, failureRatio: false } }';
  await using own = await ownSidecar(apiAt(upstream.origin, policies));
  for (let n = 1; n <= 4; n++) {
    const response = await own.send({ headers: { 'x-request-timeout-ms': '100' } });
    await response.waitForBytes(1);
    await own.clock.advance(100);
    expect(await response.ended()).not.toBe('complete');
    const ended = await own.until('exchange-ended', n);
    expect(ended.at(-1)).toMatchObject({ status: 200, reason: 'deadline_exceeded' });
  }
  expect(own.events.of('breaker-changed')).toEqual([]);
});

test('idle connections that close at their reuse say nothing about health, however many they are', async () => {
  const warm = holdResponse(staleKeepAlive());
  await using on = await stage([warm, warm, warm, respond({ body: 'ok' })], {
    api: 'policies: { retry: { budget: false }, circuitBreaker: { consecutiveFailures: 2 } }',
  });
  const firsts = [on.send(), on.send(), on.send()];
  await warm.waitForHeld(3);
  warm.release();
  for (const first of firsts) await (await first).ended();
  const seconds = await Promise.all([on.send(), on.send(), on.send()]);
  expect(seconds.map((second) => [second.status, second.header('x-outrigger-attempts')])).toEqual([
    [200, '2'],
    [200, '2'],
    [200, '2'],
  ]);
  expect(states(on)).toEqual([]);
});

test('one success in between starts the count anew', async () => {
  const bad = respond({ status: 500 });
  const script = [bad, bad, respond(), bad, bad, respond()];
  await using on = await stage(script, breaker('consecutiveFailures: 3'));
  for (let n = 1; n <= 6; n++) await callAndForget(on);
  expect(states(on)).toEqual([]);
});

test('opens at the share of failures once there are enough calls', async () => {
  const script = [respond(), respond({ status: 503 })];
  const api = `policies: { retry: false, circuitBreaker: { consecutiveFailures: false, failureRatio: 0.75, minimumCalls: 4, degradedShare: 0.9 } }`;
  await using on = await stage(script, { api });
  for (let n = 1; n <= 4; n++) await callAndForget(on);
  expect(states(on).at(-1)).toBe('open');
  expect(on.upstream.requests).toHaveLength(4);
});

test('one probe at a time: everyone else is refused at once, and its success closes the circuit', async () => {
  const gate = holdResponse(respond({ body: 'recovered' }));
  await using on = await stage(
    [respond({ status: 500 }), gate],
    breaker('consecutiveFailures: 1, openFor: 50ms'),
  );
  await callAndForget(on);
  const { answer } = await sendProbe(on, gate);
  const others = await Promise.all([on.send(), on.send(), on.send()]);
  expect(others.map(({ status }) => status)).toEqual([503, 503, 503]);
  expect(Number(others[0]?.header('retry-after-ms'))).toBeLessThanOrEqual(1_000);
  gate.release();
  expect(await (await answer).text()).toBe('recovered');
  await on.sidecar.waitForEvent('breaker-changed', 3);
  expect(states(on)).toEqual(['open', 'half-open', 'closed']);
  expect(await callAndForget(on)).toBe(200);
});

/** Calls until one is let through as the probe, which then hangs at the gate. */
async function sendProbe(on: Stage, gate: HeldResponse): Promise<{ answer: Promise<RawResponse> }> {
  for (;;) {
    const answer = on.send();
    const held = gate.waitForHeld(1).then(() => true);
    if (await Promise.race([answer.then(() => false), held])) return { answer };
  }
}

test('a failing probe opens the circuit again, for longer', async () => {
  await using on = await stage([respond({ status: 500 })], breaker('consecutiveFailures: 1, openFor: 40ms'));
  await callAndForget(on);
  await expect.poll(() => callAndForget(on), { timeout: 3_000 }).toBe(500);
  expect(states(on)).toEqual(['open', 'half-open', 'open']);
  const [first, , second] = on.sidecar.eventsNamed('breaker-changed').map(({ openForMs }) => openForMs);
  expect(second).toBeGreaterThan(first ?? 0);
});
