/**
 * Clients that had failed together came back together, and their retries made the overload last. Without a word in the
 * configuration, retries are spread over time and bounded by a share of the traffic.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { turns } from '../support/turns.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const CLIENTS = 100;
/** The floor of 3, and a fifth of the requests. */
const BUDGET = 3 + CLIENTS / 5;

it('a hundred failures at once cause a fifth more load, and not at once', async () => {
  const gate = holdResponse(respond({ status: 503 }));
  await using upstream = await scriptedUpstream([gate]);
  // A breaker would stop the retries, too.
  await using own = await ownSidecar(apiAt(upstream.origin, 'policies: { circuitBreaker: false }'));
  const answers = Array.from({ length: CLIENTS }, () => own.send());
  await gate.waitForHeld(CLIENTS);
  gate.release();

  await own.until('retry-refused', CLIENTS - BUDGET);
  const delays = (await own.until('retry-scheduled', BUDGET)).map(({ delayMs }) => delayMs);
  expect(delays).toHaveLength(BUDGET);
  expect(new Set(delays).size).toBe(BUDGET);
  expect(new Set(own.events.of('retry-refused').map(({ why }) => why))).toEqual(new Set(['budget']));

  const early = delays.filter((delayMs) => delayMs <= 125).length;
  expect(early).toBeGreaterThan(0);
  expect(early).toBeLessThan(BUDGET);
  await own.clock.advance(125);
  await upstream.waitUntil(() => upstream.requests.length >= CLIENTS + early, 'the early retries');
  await turns(20);
  expect(upstream.requests).toHaveLength(CLIENTS + early);

  await own.clock.advance(125);
  const responses = await Promise.all(answers);
  expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([503]));
  expect(upstream.requests).toHaveLength(CLIENTS + BUDGET);
});

it('callers that go on calling in an outage get no further retries until time has passed', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 503 })]);
  const policies = 'policies: { circuitBreaker: false, retry: { backoff: { initial: 0s, max: 0s } } }';
  await using own = await ownSidecar(apiAt(upstream.origin, policies));
  const retriesOf = async (calls: number): Promise<number> => {
    const before = upstream.requests.length;
    for (let n = 0; n < calls; n++) await own.send();
    return upstream.requests.length - before - calls;
  };
  expect(await retriesOf(30)).toBe(3 + 30 / 5);
  expect(await retriesOf(10)).toBe(10 / 5);
  await own.clock.advance(11_000);
  expect(await retriesOf(10)).toBe(3 + 10 / 5);
});
