/**
 * An endpoint was to rest for a minute; a second failure with a shorter rest replaced the first, and traffic came back
 * too soon. The end of an open time only ever moves later within one outage.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { apiAt, ownSidecar, type OwnSidecar } from './own-sidecar.ts';

const policies = (openFor = '15s'): string =>
  `policies: { retry: false, circuitBreaker: { consecutiveFailures: 2, openFor: ${openFor} } }`;

async function refusedForMs(own: OwnSidecar): Promise<number> {
  const refused = await own.send();
  expect(refused.header('x-outrigger-code')).toBe('circuit_open');
  return Number(refused.header('retry-after-ms'));
}

it('failures that come in late, and a shorter openFor, do not bring the end nearer', async () => {
  const gate = holdResponse(respond({ status: 500 }));
  await using upstream = await scriptedUpstream([gate]);
  await using own = await ownSidecar(apiAt(upstream.origin, policies()));
  const calls = Array.from({ length: 5 }, () => own.send());
  await gate.waitForHeld(5);
  gate.releaseOne();
  gate.releaseOne();
  await own.until('breaker-changed');
  await expect.poll(() => own.sidecar.dataPlane.activeCount).toBe(3);

  await own.clock.advance(5_000);
  const before = await refusedForMs(own);
  expect(before).toBeGreaterThanOrEqual(10_000);
  gate.release();
  await Promise.all(calls);
  expect(await refusedForMs(own)).toBe(before);
  await own.edit(apiAt(upstream.origin, policies('1s')));
  expect(await refusedForMs(own)).toBe(before);
});

it('every further opening in a row is longer than the one before', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 500 })]);
  await using own = await ownSidecar(apiAt(upstream.origin, policies()));
  await own.send();
  const waits: number[] = [];
  for (let n = 1; n <= 4; n++) {
    expect((await own.send()).status).toBe(500);
    waits.push(await refusedForMs(own));
    await own.clock.advance(70_000);
  }
  const openings = own.events.of('breaker-changed').filter(({ to }) => to === 'open');
  const lengths = openings.map(({ openForMs }) => openForMs);
  expect(lengths).toHaveLength(4);
  expect(lengths).toEqual(lengths.toSorted((a, b) => a - b));
  expect(waits.map((ms) => ms <= 60_000)).toEqual([true, true, true, true]);
});

it('a key that was told to rest for a minute rests for a minute, whatever shorter time a later answer names', async () => {
  const rest = (seconds: number) => respond({ status: 429, headers: { 'retry-after': String(seconds) } });
  const [long, short] = [holdResponse(rest(60)), holdResponse(rest(1))];
  const turn = [long, short];
  await using upstream = await scriptedUpstream((request) =>
    request.header('authorization') === 'first' ? (turn.shift() ?? respond()) : respond(),
  );
  const pool = 'credentials: { values: [first, second] }, policies: { retry: false }';
  await using own = await ownSidecar(apiAt(upstream.origin, pool));
  const calls = [own.send()];
  await long.waitForHeld();
  await own.send();
  calls.push(own.send());
  await short.waitForHeld();
  long.release();
  await own.until('credential-cooling');
  await own.clock.advance(1_000);
  short.release();
  await Promise.all(calls);
  await own.clock.advance(50_000);
  const statuses = [await own.send(), await own.send()].map(({ status }) => status);
  expect(statuses).toEqual([200, 200]);
  const asked = upstream.requests.filter((request) => request.header('authorization') === 'first');
  expect(asked).toHaveLength(2);
  expect(own.events.of('credential-cooling')).toHaveLength(1);
});
