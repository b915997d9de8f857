/**
 * One endpoint failed at once, so it had always the fewest calls under way and the shortest latency, and was given nearly all
 * of the traffic. What fails must not look quick or idle, whoever balances; and what failed a call is not asked for it again.
 */
import { expect, it } from 'vitest';
import { closedPort } from '../support/dead-ports.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { ownSidecar } from './own-sidecar.ts';
import type { OwnSidecar } from './own-sidecar.ts';

const ALGORITHMS = [
  ...['weighted-round-robin', 'round-robin', 'random', 'weighted-random'],
  ...['least-request', 'peak-ewma'],
];

const configOf = (origins: readonly string[], algorithm: string, policies: string): string =>
  `upstreams: { api: { route: /api, endpoints: [${origins.map((url) => `{ url: "${url}" }`).join(', ')}],
     balance: { algorithm: ${algorithm} }, policies: { ${policies} } } }\n`;

const CALLS = 40;

/** Attempts at the endpoint of that origin. */
const triesAt = (own: OwnSidecar, origin: string): number =>
  own.events.of('attempt-ended').filter(({ attempt }) => attempt.endpoint.origin === origin).length;

it.each(ALGORITHMS)('%s: an endpoint that refuses is asked once, and no call is lost', async (algorithm) => {
  await using dead = await closedPort();
  await using alive = await scriptedUpstream([respond({ body: 'ok' })]);
  const bad = `http://127.0.0.1:${dead.port}`;
  const policies = 'retry: { backoff: { initial: 0s } }';
  await using own = await ownSidecar(configOf([bad, alive.origin], algorithm, policies));
  for (let n = 0; n < CALLS; n++) expect((await own.send()).status).toBe(200);
  expect(triesAt(own, bad)).toBe(1);
});

it.each(ALGORITHMS)(
  '%s: even where nobody takes it out, it gets no more than its share, and each call asks it once at most',
  async (algorithm) => {
    await using alive = await scriptedUpstream([respond({ body: 'ok' })]);
    await using failing = await scriptedUpstream([respond({ status: 500 })]);
    const policies =
      'retry: { backoff: { initial: 0s }, budget: false }, outlierDetection: false, circuitBreaker: false';
    await using own = await ownSidecar(configOf([failing.origin, alive.origin], algorithm, policies));
    for (let n = 0; n < CALLS; n++) expect((await own.send()).status).toBe(200);
    // Half of them, and what chance adds.
    expect(triesAt(own, failing.origin)).toBeLessThanOrEqual(CALLS / 2 + 12);
    const trails = own.events.of('exchange-ended').map(({ exchange }) => exchange.attempts);
    for (const trail of trails)
      expect(new Set(trail.map(({ endpoint }) => endpoint.name)).size).toBe(trail.length);
  },
);

it('peak-ewma asks one that fails in no time hardly at all', async () => {
  await using alive = await scriptedUpstream([respond({ body: 'ok' })]);
  await using failing = await scriptedUpstream([respond({ status: 500 })]);
  const policies = 'retry: { backoff: { initial: 0s } }, outlierDetection: false, circuitBreaker: false';
  await using own = await ownSidecar(configOf([failing.origin, alive.origin], 'peak-ewma', policies));
  for (let n = 0; n < CALLS; n++) expect((await own.send()).status).toBe(200);
  expect(triesAt(own, failing.origin)).toBeLessThanOrEqual(3);
});
