/**
 * One endpoint failed in a millisecond, and was the favourite of a balancer that goes by latency and of one that goes by
 * calls under way: the worst got most. Failures are penalised, and another try goes where the call has not been yet.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { ownSidecar } from './own-sidecar.ts';

const CALLS = 120;

const three = (origins: readonly string[], settings: string): string =>
  `upstreams: { api: { route: /api, endpoints: [${origins.map((url) => `{ url: "${url}" }`).join(', ')}], ${settings} } }\n`;

it.each(['least-request', 'peak-ewma'])('%s gives it less than its share by far', async (algorithm) => {
  await using failing = await scriptedUpstream([respond({ status: 503 })]);
  await using a = await scriptedUpstream([respond({ body: 'a' })]);
  await using b = await scriptedUpstream([respond({ body: 'b' })]);
  const settings = `balance: { algorithm: ${algorithm} }, policies: { retry: false, circuitBreaker: false }`;
  await using own = await ownSidecar(three([failing.origin, a.origin, b.origin], settings));
  for (let n = 0; n < CALLS; n++) {
    await own.send();
    await own.clock.advance(5);
  }
  expect(failing.requests.length).toBeLessThanOrEqual(CALLS / 20);
  expect(Math.min(a.requests.length, b.requests.length)).toBeGreaterThan(CALLS / 6);
});

it('a further try of a call goes elsewhere', async () => {
  await using failing = await scriptedUpstream([respond({ status: 503 })]);
  await using well = await scriptedUpstream([respond({ body: 'fine' })]);
  const settings =
    'policies: { circuitBreaker: false, retry: { maxRetries: 1, budget: false, backoff: { kind: constant, initial: 0ms, jitter: none } } }';
  await using own = await ownSidecar(three([failing.origin, well.origin], settings));
  for (let n = 0; n < 10; n++) {
    const answer = own.send();
    await own.clock.advance(1);
    expect((await answer).status).toBe(200);
  }
  expect(failing.requests.length).toBe(well.requests.length - 5);
});
