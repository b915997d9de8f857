/**
 * After disconnects, 426 of 732 POSTs that were sent again were billed a second time: the first had been read. A request
 * with effects goes out again only where it provably was not sent, where it has a key by which the upstream knows it, or
 * where the operator said that it does no harm.
 */
import { expect, it } from 'vitest';
import { closedPort } from '../support/dead-ports.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { staleKeepAlive } from '../support/steps/connections.ts';
import { closeBeforeResponse, closeMidHead, cutMidBody, resetBeforeResponse } from '../support/steps/cuts.ts';
import { stall } from '../support/steps/silence.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { apiAt, ownSidecar, type OwnSidecar } from './own-sidecar.ts';

const AT_ONCE = 'retry: { backoff: { initial: 0s, max: 0s }, budget: false }, circuitBreaker: false';
const POLICIES = `policies: { ${AT_ONCE} }`;

/** How often each request was read to its end, which is what upstreams bill. */
function billed({ requests }: ScriptedUpstream): number[] {
  const times = new Map<string, number>();
  for (const request of requests)
    if (request.complete) times.set(request.text(), (times.get(request.text()) ?? 0) + 1);
  return [...times.values()];
}

const disconnects: readonly RequestStep[] = [
  closeBeforeResponse(),
  resetBeforeResponse(),
  closeMidHead(),
  cutMidBody(),
  respond({ status: 500, headers: { connection: 'close' }, afterwards: 'fin' }),
  staleKeepAlive({ by: 'fin' }),
  staleKeepAlive({ by: 'reset' }),
];

const postAll = async (own: OwnSidecar, count: number, headers = {}): Promise<number[]> => {
  const statuses: number[] = [];
  for (let n = 1; n <= count; n++) {
    const response = await own.send({ method: 'POST', headers, body: `call ${n}` });
    await response.ended();
    statuses.push(response.status);
  }
  return statuses;
};

it('of a hundred POSTs to an upstream that keeps hanging up, none is billed twice', async () => {
  await using upstream = await scriptedUpstream(
    (_, n) => (n % 2 === 0 ? disconnects[(n / 2) % disconnects.length] : undefined) ?? respond(),
  );
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES));
  const statuses = await postAll(own, 100);
  expect(Math.max(...billed(upstream))).toBe(1);
  expect(statuses.filter((status) => status >= 500).length).toBeGreaterThan(20);
  expect(own.events.of('retry-scheduled')).toEqual([]);
  expect(new Set(own.events.of('retry-refused').map(({ why }) => why))).toEqual(new Set(['unsafe']));
});

it('a POST that was read and never answered is reported, not repeated', async () => {
  await using upstream = await scriptedUpstream([stall(), respond()]);
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES));
  const answer = own.send({ method: 'POST', body: 'call' });
  await upstream.waitForRequest();
  await own.clock.advance(60_000);
  const response = await answer;
  expect([response.status, response.header('x-outrigger-code')]).toEqual([504, 'first_byte_timeout']);
  expect(response.header('x-outrigger-attempts')).toBe('1');
  expect(billed(upstream)).toEqual([1]);
});

it('a POST that found nobody goes to the next endpoint, and is billed there, once', async () => {
  await using dead = await closedPort();
  await using upstream = await scriptedUpstream([respond({ body: 'done' })]);
  const endpoints = [`http://127.0.0.1:${dead.port}`, upstream.origin].map((url) => `{ url: "${url}" }`);
  await using own = await ownSidecar(
    `upstreams: { api: { route: /api, endpoints: [${endpoints.join(', ')}], ${POLICIES} } }\n`,
  );
  expect(await postAll(own, 10)).toEqual(Array.from({ length: 10 }, () => 200));
  expect(billed(upstream)).toEqual(Array.from({ length: 10 }, () => 1));
  expect(own.events.of('retry-scheduled').length).toBeGreaterThan(0);
});

it('a POST with a key goes out again with that very key, by which the upstream bills it once', async () => {
  await using upstream = await scriptedUpstream([closeBeforeResponse(), closeMidHead(), respond()]);
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES));
  expect(await postAll(own, 1, { 'Idempotency-Key': 'k-1' })).toEqual([200]);
  expect(upstream.requests.map((request) => [request.headers('idempotency-key'), request.text()])).toEqual(
    Array.from({ length: 3 }, () => [['k-1'], 'call 1']),
  );
});

it('only the word of the operator makes other POSTs safe, and only for the upstream it was given for', async () => {
  await using upstream = await scriptedUpstream((_, n) => (n % 2 === 1 ? closeBeforeResponse() : respond()));
  const others = `other: { route: /other, endpoints: [{ url: "${upstream.origin}" }], ${POLICIES} }`;
  await using own = await ownSidecar(apiAt(upstream.origin, `idempotent: true, ${POLICIES}`, others));
  expect(await postAll(own, 1)).toEqual([200]);
  expect((await own.send({ method: 'POST', path: '/other/x', body: 'other' })).status).toBe(502);
  expect(billed(upstream)).toEqual([2, 1]);
});

it('a client that sends again with the same key is billed once, or told that nobody knows', async () => {
  await using upstream = await scriptedUpstream(
    (_, n) => (n % 2 === 0 ? disconnects[(n / 2) % disconnects.length] : undefined) ?? respond(),
  );
  const once = `policies: { ${AT_ONCE}, idempotency: { forward: none } }`;
  await using own = await ownSidecar(apiAt(upstream.origin, once));
  const ends = new Set<string>();
  for (let n = 1; n <= 60; n++) {
    for (let tries = 0; tries < 3; tries++) {
      const init = { method: 'POST', headers: { 'Idempotency-Key': `k-${n}` }, body: `call ${n}` };
      const response = await own.send(init);
      await response.ended();
      if (tries === 2) ends.add(`${response.status} ${response.header('x-outrigger-code') ?? 'answered'}`);
    }
  }
  expect(Math.max(...billed(upstream))).toBe(1);
  expect(ends).toEqual(new Set(['200 answered', '500 answered', '409 outcome_unknown']));
});
