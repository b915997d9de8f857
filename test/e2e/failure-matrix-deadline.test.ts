/** The deadline against everything that takes time: attempts, backoff, connecting, uploads and bodies. */
import { expect, test } from 'vitest';
import { blackhole } from '../support/dead-ports.ts';
import { rawClient, type RequestInit } from '../support/raw-client.ts';
import { respond } from '../support/steps/answers.ts';
import { sse } from '../support/steps/event-stream.ts';
import { drippedHead, stall, stallAfterHead, stallUpload, trickle } from '../support/steps/silence.ts';
import type { Step } from '../support/upstream/step.ts';
import { stage, type Stage } from './stage.ts';

const EXCEEDED = '; error=http_response_timeout';
const deadline = (after: string, more = ''): { api: string } => ({
  api: `policies: { deadline: { after: ${after} }, circuitBreaker: false ${more} }`,
});

async function expectExceeded(on: Stage, init: RequestInit, attempts: string): Promise<void> {
  const response = await on.send(init);
  expect(response.status).toBe(504);
  expect(response.header('x-outrigger-code')).toBe('deadline_exceeded');
  expect(response.header('proxy-status')).toContain(EXCEEDED);
  expect(response.header('x-outrigger-attempts')).toBe(attempts);
  expect(await response.ended()).toBe('complete');
  expect(await on.sidecar.metric('outrigger_timeouts_total', { timer: 'deadline' })).toBe(1);
}

const silent: readonly [title: string, step: Step, init: RequestInit][] = [
  ['an answer that never comes', stall(), {}],
  ['a head that drips', drippedHead({ everyMs: 30 }), {}],
  ['an upstream that stops reading', stallUpload(), { method: 'POST', body: Buffer.alloc(8_000_000) }],
];

test.each(silent)('%s ends with the deadline, and the upstream is told', async (_, step, init) => {
  await using on = await stage([step], deadline('120ms'));
  await expectExceeded(on, init, '1');
  // One that does not read does not notice either.
  on.upstream.resume();
  await on.upstream.waitForOpenConnections(0);
});

test('connecting ends with the deadline, too', async () => {
  await using hole = await blackhole();
  const others = [
    `hole: { route: /hole, endpoints: [{ url: "http://127.0.0.1:${hole.port}" }], policies: { deadline: { after: 120ms } } }`,
  ];
  await using on = await stage([respond()], { others });
  const response = await (await rawClient(on.port)).request({ path: '/hole/x' });
  expect(response.header('x-outrigger-code')).toBe('deadline_exceeded');
  expect(await on.sidecar.metric('outrigger_attempts_total', { upstream: 'hole' })).toBe(1);
});

test('no retry is started that could not begin before the deadline: the last failure is the answer', async () => {
  const retry =
    ', retry: { maxRetries: 5, backoff: { initial: 10s, max: 10s, jitter: none }, budget: false }';
  await using on = await stage([respond({ status: 503, body: 'no' })], deadline('300ms', retry));
  const response = await on.send();
  expect(response.status).toBe(503);
  expect(on.upstream.requests).toHaveLength(1);
  expect(on.sidecar.eventsNamed('retry-refused').map(({ why }) => why)).toEqual(['deadline']);
});

test('attempts share the deadline, however many they are', async () => {
  const more =
    ', attemptTimeout: { firstByte: 70ms }, retry: { maxRetries: 20, backoff: { initial: 1ms, max: 1ms }, budget: false }';
  await using on = await stage([stall()], deadline('250ms', more));
  const response = await on.send();
  expect(response.header('x-outrigger-code')).toBe('deadline_exceeded');
  expect(on.upstream.requests.length).toBeGreaterThanOrEqual(2);
  expect(on.upstream.requests.length).toBeLessThanOrEqual(5);
});

test('a body with an end of its own must come in time: it is broken off, visibly', async () => {
  await using on = await stage([stallAfterHead({}, ['partial'])], deadline('120ms'));
  const response = await on.send();
  expect(response.status).toBe(200);
  expect(await response.ended()).toBe('cut');
  await on.sidecar.waitForEvent('exchange-ended');
  const broken = { upstream: 'api', reason: 'deadline_exceeded' };
  expect(await on.sidecar.metric('outrigger_broken_responses_total', broken)).toBe(1);
  await on.upstream.waitForAbort();
});

test('an event stream that has begun goes on past the deadline', async () => {
  await using on = await stage([sse({ events: ['a', 'b', 'c', 'd'], everyMs: 50 })], deadline('100ms'));
  const response = await on.send();
  expect(await response.text()).toBe('data: a\n\ndata: b\n\ndata: c\n\ndata: d\n\n');
  expect(on.sidecar.eventsNamed('deadline-exceeded')).toEqual([]);
});

test('a slow body that is done in time is left alone', async () => {
  await using on = await stage([trickle({ chunks: ['a', 'b'], everyMs: 20 })], deadline('5s'));
  expect(await (await on.send()).text()).toBe('ab');
});

test.each([
  ['x-request-timeout-ms', '100'],
  ['x-stainless-timeout', '0.1'],
  ['x-server-timeout', '0.1'],
  ['grpc-timeout', '100m'],
  ['x-envoy-upstream-rq-timeout-ms', '100'],
])('the caller’s own bound in %s counts where it is the smaller one', async (name, value) => {
  await using on = await stage([stall()], deadline('10s'));
  await expectExceeded(on, { headers: { [name]: value } }, '1');
});

test.each([
  ['a bound beyond every timer', '99999999H'],
  ['no bound at all', '0m'],
  ['a malformed bound', 'soon'],
])('%s does not end anything', async (_, value) => {
  await using on = await stage([respond({ body: 'ok' })], deadline('false'));
  const response = await on.send({ headers: { 'grpc-timeout': value } });
  expect(await response.text()).toBe('ok');
  expect(on.sidecar.eventsNamed('deadline-exceeded')).toEqual([]);
});
