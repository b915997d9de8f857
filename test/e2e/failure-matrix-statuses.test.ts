/** Statuses that say no: which are tried again, for whom, and how long after. */
import { describe, expect, test } from 'vitest';
import { respond } from '../support/steps/answers.ts';
import { passedOn } from './expected.ts';
import { play } from './failure-mode.ts';
import { stage, type Stage } from './stage.ts';

const answer = (status: number, headers: Readonly<Record<string, string>> = {}) =>
  respond({ status, headers, body: 'from upstream' });

test.each([500, 502, 503, 504, 599, 408, 425])(
  '%i is tried again where repeating does no harm, and passed on in the end',
  async (status) => {
    expect(await play([answer(status)])).toEqual(passedOn(status, 'transient', 'safe'));
  },
);

test.each([
  [429, 'throttled', {}],
  [429, 'throttled', { 'retry-after-ms': '1' }],
  [503, 'overloaded', { 'retry-after-ms': '1' }],
  [529, 'overloaded', {}],
] as const)(
  '%i (%s) %j is tried again for every request: it was turned away at the door',
  async (status, verdict, headers) => {
    expect(await play([answer(status, headers)])).toEqual(passedOn(status, verdict, 'always'));
  },
);

test.each([
  [400, 'permanent'],
  [404, 'permanent'],
  [409, 'permanent'],
  [413, 'permanent'],
  [422, 'permanent'],
  [501, 'permanent'],
  [505, 'permanent'],
  [401, 'auth'],
  [403, 'auth'],
  [402, 'quota'],
])('%i (%s) is passed on at once', async (status, verdict) => {
  expect(await play([answer(status)])).toEqual(passedOn(status, verdict, 'never'));
});

test('an upstream that recovers answers after the retry, and the answer says how many attempts it took', async () => {
  const api = 'policies: { retry: { backoff: { initial: 1ms, max: 1ms } } }';
  await using on = await stage([answer(503), answer(500), respond({ body: 'better' })], { api });
  const response = await on.send();
  expect(await response.text()).toBe('better');
  expect(response.header('x-outrigger-attempts')).toBe('3');
});

describe('Retry-After', () => {
  /** Sends one call to an upstream that asks to wait; says what retry made of it, and leaves. */
  async function asked(on: Stage): Promise<number | string> {
    const calling = on.send().catch(() => undefined);
    const told = await Promise.race([
      on.sidecar.waitForEvent('retry-scheduled').then(([event]) => event?.delayMs ?? -1),
      calling.then(() => on.sidecar.eventsNamed('retry-refused')[0]?.why ?? 'no word'),
    ]);
    return told;
  }

  const api =
    'policies: { retry: { backoff: { initial: 1ms, max: 1ms, jitter: none }, maxRetryAfter: 2500ms } }';

  test.each([
    ['in seconds', { 'retry-after': '2' }, 2_000],
    ['in seconds with a fraction', { 'retry-after': '0.5' }, 500],
    ['in milliseconds, which is finer', { 'retry-after': '2', 'retry-after-ms': '300' }, 300],
    ['of no time', { 'retry-after': '0' }, 1],
    ['that is malformed', { 'retry-after': 'soon' }, 1],
    ['that is negative', { 'retry-after': '-5' }, 1],
    ['as a date that is past', { 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' }, 1],
    ['as a date that nobody can mean', { 'retry-after': 'Thu, 31 Dec 2099 23:59:59 GMT' }, 1],
  ])('%s is a floor for the delay', async (_, headers, delayMs) => {
    await using on = await stage([answer(429, headers)], { api });
    expect(await asked(on)).toBe(delayMs);
  });

  test('as a date is counted from now', async () => {
    const headers = { 'retry-after': new Date(Date.now() + 2_000).toUTCString() };
    await using on = await stage([answer(429, headers)], { api });
    const delayMs = await asked(on);
    expect(delayMs).toBeGreaterThan(500);
    expect(delayMs).toBeLessThanOrEqual(2_000);
  });

  test.each([
    ['in seconds', { 'retry-after': '60' }],
    ['in milliseconds', { 'retry-after-ms': '60000' }],
    ['as a date', { 'retry-after': new Date(Date.now() + 3_600_000).toUTCString() }],
  ])('%s beyond the limit is passed on at once, untouched', async (_, headers) => {
    await using on = await stage([answer(429, headers)], { api });
    const response = await on.send();
    expect(response.status).toBe(429);
    for (const [name, value] of Object.entries(headers)) expect(response.header(name)).toBe(value);
    expect(response.header('x-outrigger-attempts')).toBe('1');
    expect(await asked(on)).toMatch('retry-after');
  });

  test('beyond the deadline is passed on at once', async () => {
    const withDeadline = `${api.slice(0, -1)}, deadline: { after: 1s } }`;
    await using on = await stage([answer(503, { 'retry-after': '2' })], { api: withDeadline });
    const response = await on.send();
    expect(response.status).toBe(503);
    expect(on.sidecar.eventsNamed('retry-refused')[0]?.why).toBe('deadline');
  });
});
