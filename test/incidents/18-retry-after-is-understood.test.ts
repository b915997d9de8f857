/**
 * Upstreams said when to come back, and proxies did not listen, took seconds for milliseconds, or computed NaN from a
 * date. Every form counts as it was meant, as the least time to wait, and only within the time that is left.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { turns } from '../support/turns.ts';
import { apiAt, ownSidecar, type OwnSidecar } from './own-sidecar.ts';

const BACKOFF_MS = 100;
const PLAIN = `retry: { backoff: { initial: ${BACKOFF_MS}ms, max: ${BACKOFF_MS}ms, jitter: none } }`;
const POLICIES = `policies: { ${PLAIN} }`;

/** Time of the fake clocks, when they start; a whole second, so that dates can name it. */
const NOW_MS = Date.UTC(2026, 0, 1, 0, 0, 1);
const inMs = (ms: number): Date => new Date(NOW_MS + ms);
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];

/** The two old forms of an HTTP date, which are still to be understood. */
function oldDates(date: Date): { readonly rfc850: string; readonly asctime: string } {
  const [day = '', number = '', month = '', year = '', time = ''] = date.toUTCString().split(/[ ,]+/);
  return {
    rfc850: `${DAYS[date.getUTCDay()]}, ${number}-${month}-${year.slice(2)} ${time} GMT`,
    asctime: `${day} ${month} ${number.replace(/^0/, ' ')} ${time} ${year}`,
  };
}

const refusing = (headers: Readonly<Record<string, string>>, status = 429): Promise<ScriptedUpstream> =>
  scriptedUpstream([respond({ status, headers, body: 'not now' }), respond({ body: 'welcome' })]);

/** The second request comes after `waitMs`, and not before. */
async function expectWait(own: OwnSidecar, upstream: ScriptedUpstream, waitMs: number): Promise<void> {
  const answer = own.send({ method: 'POST', body: '{}' });
  await own.until('retry-scheduled');
  await own.clock.advance(waitMs - 1);
  await turns(10);
  expect(upstream.requests).toHaveLength(1);
  await own.clock.advance(1);
  expect(await (await answer).text()).toBe('welcome');
}

it.each<[string, Readonly<Record<string, string>>, number]>([
  ['seconds', { 'retry-after': '7' }, 7_000],
  ['a fraction of seconds', { 'Retry-After': '1.5' }, 1_500],
  ['milliseconds', { 'retry-after-ms': '7' }, BACKOFF_MS],
  ['more milliseconds', { 'retry-after-ms': '2500' }, 2_500],
  ['both, where the finer one counts', { 'retry-after': '7', 'retry-after-ms': '6400' }, 6_400],
  ['a date', { 'retry-after': inMs(9_000).toUTCString() }, 9_000],
  ['a date as RFC 850 had it', { 'retry-after': oldDates(inMs(9_000)).rfc850 }, 9_000],
  ['a date as asctime has it', { 'retry-after': oldDates(inMs(9_000)).asctime }, 9_000],
  ['a date that is past', { 'retry-after': inMs(-9_000).toUTCString() }, BACKOFF_MS],
  ['a time shorter than the backoff', { 'retry-after-ms': '20' }, BACKOFF_MS],
  ['no time at all', { 'retry-after': '0' }, BACKOFF_MS],
  ['a word', { 'retry-after': 'soon' }, BACKOFF_MS],
  ['nothing', { 'retry-after': '' }, BACKOFF_MS],
  ['a date that is none', { 'retry-after': 'Thu, 99 Foo 2026 99:99:99 GMT' }, BACKOFF_MS],
  ['NaN', { 'retry-after': 'NaN', 'retry-after-ms': 'NaN' }, BACKOFF_MS],
])('of an upstream that names %s, the retry comes when it was asked for', async (_, headers, waitMs) => {
  await using upstream = await refusing(headers);
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES));
  expect(own.clock.wallMs()).toBe(NOW_MS);
  await expectWait(own, upstream, waitMs);
});

it.each([429, 503, 529])('%i with a time is heard, for every request', async (status) => {
  await using upstream = await refusing({ 'retry-after': '3' }, status);
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES));
  await expectWait(own, upstream, 3_000);
});

it('a wall clock that is set during the wait changes nothing', async () => {
  await using upstream = await refusing({ 'retry-after': inMs(9_000).toUTCString() });
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES));
  const answer = own.send();
  await own.until('retry-scheduled');
  own.clock.wallOffsetMs = 3_600_000;
  await own.clock.advance(8_999);
  expect(upstream.requests).toHaveLength(1);
  await own.clock.advance(1);
  expect(await (await answer).text()).toBe('welcome');
});

it.each<[string, string, Readonly<Record<string, string>>, string]>([
  ['what is left of the deadline', 'deadline: { after: 5s }', {}, 'deadline'],
  ['what is left of the caller’s own time', 'deadline: {}', { 'x-request-timeout-ms': '5000' }, 'deadline'],
  ['the longest wait that is allowed', 'deadline: false', {}, 'retry-after'],
])('a time beyond %s is told to the client at once', async (_, bound, headers, why) => {
  const asked = why === 'deadline' ? '6' : '31';
  await using upstream = await refusing({ 'retry-after': asked });
  await using own = await ownSidecar(apiAt(upstream.origin, `policies: { ${PLAIN}, ${bound} }`));
  const response = await own.send({ headers });
  expect([response.status, response.header('retry-after'), await response.text()]).toEqual([
    429,
    asked,
    'not now',
  ]);
  expect(own.events.of('retry-refused')).toMatchObject([{ why }]);
  expect(upstream.requests).toHaveLength(1);
});
