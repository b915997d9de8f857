/** The ladder against every kind of failure: when another answers, with what, and when nobody may any more. */
import { expect, test } from 'vitest';
import { closedPort } from '../support/dead-ports.ts';
import { request } from '../support/raw-client.ts';
import { respond, respondWith } from '../support/steps/answers.ts';
import { closeBeforeResponse, closeMidHead, cutMidBody } from '../support/steps/cuts.ts';
import { garbage, hugeHeaders, unasked101 } from '../support/steps/malformed.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { Step } from '../support/upstream/step.ts';
import { stage, type Stage } from './stage.ts';

const SPARE = 'fallback: [{ upstream: spare }]';
const LAST = 'fallback: [{ upstream: spare }, { static: { status: 200, json: { degraded: true } } }]';

const policies = (text: string): string => `policies: { retry: false, circuitBreaker: false, ${text} }`;
const spareAt = (origin: string): string =>
  `spare: { route: /spare, endpoints: [{ url: "${origin}" }], policies: { retry: false, circuitBreaker: false } }`;

const taken = (on: Stage, labels: Record<string, string>): Promise<number> =>
  on.sidecar.metric('outrigger_fallbacks_total', { upstream: 'api', ...labels });

const failing: readonly [title: string, step: Step, trigger: string, settings?: string][] = [
  ['a connection that closes', closeBeforeResponse(), 'connection_reset'],
  ['half a head', closeMidHead(), 'response_incomplete'],
  ['a malformed answer', garbage(), 'protocol_error'],
  ['a switch nobody asked for', unasked101(), 'protocol_error'],
  ['a huge head', hugeHeaders(100_000), 'response_head_too_large'],
  ['silence', stall(), 'first_byte_timeout', 'attemptTimeout: { firstByte: 80ms }'],
  ['a used up deadline', stall(), 'deadline_exceeded', 'deadline: { after: 80ms }'],
  ['a server error', respond({ status: 500 }), 'status'],
  ['too many requests', respond({ status: 429 }), 'status'],
  ['an exhausted quota', respond({ status: 402 }), 'status'],
  ['a refused key', respond({ status: 401 }), 'status'],
];

test.each(failing)('%s: the spare answers, with the same body and none of the secrets', async (...row) => {
  const [, step, trigger, settings] = row;
  await using spare = await scriptedUpstream([respondWith((got) => ({ body: `spare got ${got.text()}` }))]);
  const api = policies(settings === undefined ? SPARE : `${settings}, ${SPARE}`);
  await using on = await stage([step], { api, others: [spareAt(spare.origin)] });
  const headers = {
    authorization: 'Bearer first',
    'x-api-key': 'first',
    cookie: 'first=1',
    'x-other': 'kept',
  };
  const response = await on.send({ method: 'POST', body: 'hello', headers, path: '/v1?key=first&a=1' });
  expect(await response.text()).toBe('spare got hello');
  expect(response.header('x-outrigger-attempts')).toBe('2');
  const [asked] = spare.requests;
  expect(asked?.rawHeaders.filter(([, value]) => value.includes('first'))).toEqual([]);
  expect(asked?.header('x-other')).toBe('kept');
  expect(asked?.target).not.toContain('first');
  expect(asked?.header('host')).toBe(`127.0.0.1:${spare.port}`);
  expect(await taken(on, { step: 'spare', trigger, answered: 'true' })).toBe(1);
});

/** An upstream that cannot be reached, with `api` as its ladder. */
const downAt = (port: number, settings = ''): string =>
  `down: { route: /down, endpoints: [{ url: "http://127.0.0.1:${port}" }]${settings}, policies: { retry: false, fallback: [{ upstream: api }] } }`;

test('a refused connection: the spare answers', async () => {
  await using closed = await closedPort();
  await using on = await stage([respondWith(({ body }) => ({ body }))], { others: [downAt(closed.port)] });
  const response = await request(on.port, { method: 'POST', path: '/down/x', body: 'hello' });
  expect(await response.text()).toBe('hello');
  const labels = { upstream: 'down', step: 'api', trigger: 'connection_refused', answered: 'true' };
  expect(await on.sidecar.metric('outrigger_fallbacks_total', labels)).toBe(1);
});

test('a large upload goes to the spare when the first could not be reached: nothing of it was used', async () => {
  await using closed = await closedPort();
  const body = Buffer.alloc(300_000, 'abcdefg');
  const others = [downAt(closed.port, ', replayLimit: 10KiB')];
  await using on = await stage([respondWith((got) => ({ body: String(got.body.equals(body)) }))], { others });
  const response = await request(on.port, { method: 'POST', path: '/down/x', body });
  expect(await response.text()).toBe('true');
});

test('an open breaker: the ladder answers at once', async () => {
  const api = `policies: { retry: false, circuitBreaker: { consecutiveFailures: 1 }, fallback: [{ static: { body: instead } }] }`;
  await using on = await stage([respond({ status: 500 })], { api });
  expect(await (await on.send()).text()).toBe('instead');
  expect(await (await on.send()).text()).toBe('instead');
  expect(on.upstream.requests).toHaveLength(1);
  expect(await taken(on, { trigger: 'circuit_open', step: 'static' })).toBe(1);
});

test('when the spare fails as well, the next step answers', async () => {
  await using spare = await scriptedUpstream([closeBeforeResponse()]);
  await using on = await stage([respond({ status: 503 })], {
    api: policies(LAST),
    others: [spareAt(spare.origin)],
  });
  const response = await on.send();
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ degraded: true });
  expect(response.header('x-outrigger-source')).toBe('fallback');
  expect(response.header('x-outrigger-attempts')).toBe('2');
  expect(await taken(on, { step: 'spare', answered: 'false' })).toBe(1);
  expect(await taken(on, { step: 'static', answered: 'true' })).toBe(1);
});

test('when no step answers, the client gets the upstream’s own ending', async () => {
  await using spare = await scriptedUpstream([closeBeforeResponse()]);
  await using on = await stage([respond({ status: 503, body: 'own words' })], {
    api: policies(SPARE),
    others: [spareAt(spare.origin)],
  });
  const response = await on.send();
  expect(response.status).toBe(503);
  expect(await response.text()).toBe('own words');
});

test.each([
  ['is cut', cutMidBody(), 'cut', ''],
  ['stops', stallAfterHead({}, ['partial']), 'cut', 'attemptTimeout: { idle: 80ms },'],
])('an answer that %s after it began is not replaced', async (_, step, end, timers) => {
  await using on = await stage([step], { api: policies(`${timers} fallback: [{ static: { body: no } }]`) });
  const response = await on.send();
  expect(response.status).toBe(200);
  expect(await response.ended()).toBe(end);
  expect(response.received.toString()).toBe('partial');
  expect(await taken(on, {})).toBe(0);
});

test.each([400, 404, 422])('%i is the client’s own doing: the ladder stays out of it', async (status) => {
  await using on = await stage([respond({ status, body: 'own' })], {
    api: policies('fallback: [{ static: { body: no } }]'),
  });
  const response = await on.send();
  expect(response.status).toBe(status);
  expect(await response.text()).toBe('own');
});

test('an upstream that is too slow is given up for the ladder, and told so', async () => {
  const ladder = 'fallback: { after: 60ms, steps: [{ static: { body: quicker } }] }';
  await using on = await stage([stall()], { api: policies(ladder) });
  const response = await on.send();
  expect(await response.text()).toBe('quicker');
  await on.upstream.waitForAbort();
  expect(await taken(on, { trigger: 'slow', step: 'static' })).toBe(1);
});
