/**
 * An upstream asked one caller to wait, and a balancer took that for the whole endpoint: nobody was let through any
 * more. A wait belongs to the exchange that was told to; the state of the upstream does not change by it.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

it('while one exchange waits for its Retry-After, all others pass at once', async () => {
  const patience = respond({ status: 429, headers: { 'retry-after': '20' } });
  await using upstream = await scriptedUpstream([patience, respond({ body: 'ok' })]);
  await using own = await ownSidecar(apiAt(upstream.origin));
  const waiting = own.send();
  expect(await own.until('retry-scheduled')).toMatchObject([{ delayMs: 20_000 }]);

  for (let n = 1; n <= 5; n++) {
    const other = await own.send();
    expect(other.status).toBe(200);
    expect(other.header('x-outrigger-attempts')).toBe('1');
  }
  expect(own.events.of('breaker-changed')).toEqual([]);

  await own.clock.advance(20_000);
  const response = await waiting;
  expect([response.status, response.header('x-outrigger-attempts')]).toEqual([200, '2']);
});
