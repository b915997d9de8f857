/**
 * Someone edited the configuration in the middle of an outage. The reload forgot the open circuits, and everything that
 * had been held back fell upon the sick upstream again. What a breaker and a budget have learned outlives a reload, and a restart.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { temporaryDirectory } from '../cli/fixture.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const settings = (openFor: string, maxRetries: number): string =>
  `policies: { circuitBreaker: { consecutiveFailures: 3, openFor: ${openFor} }, retry: { maxRetries: ${maxRetries} } }`;

it('an open circuit and a spent retry budget survive an edit of their own sections', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 503 })]);
  await using own = await ownSidecar(apiAt(upstream.origin, settings('15s', 2)));
  const first = own.send();
  for (let n = 1; n <= 2; n++) {
    await own.until('retry-scheduled', n);
    await own.clock.advance(1_000);
  }
  expect((await first).status).toBe(503);
  const before = await own.series('outrigger_retry_budget_remaining');
  expect(before).toEqual(['outrigger_retry_budget_remaining{upstream="api"} 1']);

  const edited = apiAt(
    upstream.origin,
    settings('20s', 1),
    'spare: { listen: "127.0.0.1:0", endpoints: [{ url: "http://127.0.0.1:1" }] }',
  );
  expect(await own.edit(edited)).toMatchObject({ applied: true, changed: true, generation: 2 });

  expect(await own.series('outrigger_retry_budget_remaining{upstream="api"}')).toEqual(before);
  expect(await own.series('outrigger_breaker_state{upstream="api",state="open"}')).toEqual([
    'outrigger_breaker_state{upstream="api",state="open"} 1',
  ]);
  const refused = await Promise.all(Array.from({ length: 10 }, () => own.send()));
  expect(new Set(refused.map((response) => response.header('x-outrigger-code')))).toEqual(
    new Set(['circuit_open']),
  );
  expect(upstream.requests).toHaveLength(3);
});

it('failures that were counted before an edit elsewhere still count after it', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 503 })]);
  const policies = 'policies: { circuitBreaker: { consecutiveFailures: 3 }, retry: false }';
  await using own = await ownSidecar(apiAt(upstream.origin, policies));
  for (let n = 1; n <= 2; n++) expect((await own.send()).status).toBe(503);
  await own.edit(apiAt(upstream.origin, `${policies}, idempotent: true`));
  expect((await own.send()).header('x-outrigger-code')).toBeUndefined();
  expect((await own.send()).header('x-outrigger-code')).toBe('circuit_open');
});

it('a restart in the middle of an outage keeps what an edit would have kept', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 503 })]);
  const state = `state: { dir: ${temporaryDirectory()} }\n`;
  {
    await using own = await ownSidecar(state + apiAt(upstream.origin, settings('15s', 0)));
    for (let n = 1; n <= 3; n++) expect((await own.send()).status).toBe(503);
    await own.sidecar.stop();
  }
  await using own = await ownSidecar(state + apiAt(upstream.origin, settings('20s', 0)));
  expect((await own.send()).header('x-outrigger-code')).toBe('circuit_open');
  expect(upstream.requests).toHaveLength(3);
  await own.clock.advance(17_000);
  expect((await own.send()).header('x-outrigger-code')).toBeUndefined();
  expect(upstream.requests).toHaveLength(4);
});
