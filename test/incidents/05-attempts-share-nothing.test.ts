/**
 * A failed attempt left its marks, and the next one was poisoned: half a body, changed headers, a wrong model. Every
 * attempt starts from the client's request, and what it did and brought is its own.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { resetMidUpload } from '../support/steps/cuts.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const RETRIES = 'policies: { retry: { maxRetries: 2, backoff: { initial: 0s, max: 0s } } }';

const refusal = respond({
  status: 503,
  framing: 'chunked',
  headers: {
    'content-type': 'application/json',
    'content-encoding': 'gzip',
    'set-cookie': 'a=1',
    etag: '"1"',
    trailer: 'x-sum',
  },
  body: 'no',
  trailers: { 'x-sum': '1' },
});

it('a replay is the same request to the byte, and its answer has nothing of the ones before', async () => {
  const body = Buffer.alloc(300_000, 'abcdefg');
  await using upstream = await scriptedUpstream([resetMidUpload(), refusal, respond({ body: 'fine' })]);
  await using own = await ownSidecar(apiAt(upstream.origin, RETRIES));
  const headers = [
    ['X-Twice', '1'],
    ['x-twice', '2'],
    ['Content-Encoding', 'identity'],
  ] as const;
  const response = await own.send({ method: 'PUT', headers, body });
  expect(await response.text()).toBe('fine');
  for (const name of ['content-encoding', 'content-type', 'set-cookie', 'etag', 'trailer'])
    expect(response.header(name)).toBeUndefined();
  expect(response.trailers).toEqual([]);

  const [first, second, third] = upstream.requests;
  expect([second?.body.equals(body), third?.body.equals(body)]).toEqual([true, true]);
  expect(second?.rawHeaders).toEqual(first?.rawHeaders);
  expect(third?.rawHeaders).toEqual(first?.rawHeaders);
  expect(third?.target).toBe(first?.target);
});

it('the trail has an ending of its own for every attempt', async () => {
  await using upstream = await scriptedUpstream([resetMidUpload(), refusal, respond({ body: 'fine' })]);
  await using own = await ownSidecar(apiAt(upstream.origin, RETRIES));
  await own.send({ method: 'PUT', body: 'x' });
  const [ending] = await own.until('exchange-ended');
  const attempts = ending?.exchange.attempts ?? [];
  expect(
    attempts.map(({ number, status, reason, verdict }) => [number, status ?? reason, verdict?.class]),
  ).toEqual([
    [1, 'connection_reset', 'transient'],
    [2, 503, 'transient'],
    [3, 200, 'ok'],
  ]);
  expect(attempts.map(({ reason }) => reason)).toEqual(['connection_reset', undefined, undefined]);
  expect(new Set(attempts.map(({ cancellation }) => cancellation)).size).toBe(3);
});

it('what a step of the ladder rewrites, neither the next step nor the next request sees', async () => {
  await using main = await scriptedUpstream([respond({ status: 503 })]);
  await using second = await scriptedUpstream([respond({ status: 503 })]);
  await using third = await scriptedUpstream([respond({ body: 'fine' })]);
  const rewrite =
    'rewrite: { path: [{ from: /v1, to: /other }], setHeaders: { x-step: two }, removeHeaders: [x-mine], body: { model: small } }';
  const ladder = `policies: { retry: false, circuitBreaker: false, fallback: [{ upstream: second, ${rewrite} }, { upstream: third }] }`;
  const others = [
    `second: { route: /second, endpoints: [{ url: "${second.origin}" }], policies: { retry: false } }`,
    `third: { route: /third, endpoints: [{ url: "${third.origin}" }] }`,
  ].join(', ');
  await using own = await ownSidecar(apiAt(main.origin, ladder, others));
  const body = '{"model":"large","n":1}';
  const asked = { method: 'POST', path: '/api/v1/chat?a=b', headers: { 'x-mine': '1' }, body };
  for (let n = 1; n <= 2; n++) expect(await (await own.send(asked)).text()).toBe('fine');

  const seenBy = ({ requests }: typeof main): unknown[] =>
    requests.map((one) => [one.target, one.header('x-step'), one.header('x-mine'), one.text()]);
  const untouched = ['/v1/chat?a=b', undefined, '1', body];
  const rewritten = ['/other/chat?a=b', 'two', undefined, '{"model":"small","n":1}'];
  expect(seenBy(main)).toEqual([untouched, untouched]);
  expect(seenBy(second)).toEqual([rewritten, rewritten]);
  expect(seenBy(third)).toEqual([untouched, untouched]);
});
