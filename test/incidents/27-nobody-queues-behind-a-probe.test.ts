/**
 * While one trial request was out, all other callers stood in a queue behind it, for minutes where it was a slow one.
 * Everybody but the probe gets an answer at once: a refusal, or what the fallback has.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const BREAKER = 'circuitBreaker: { consecutiveFailures: 1 }';

it.each([
  { policies: `retry: false, ${BREAKER}`, status: 503, retryAfter: '1' },
  {
    policies: `retry: false, ${BREAKER}, fallback: [{ static: { body: sorry } }]`,
    status: 200,
    retryAfter: undefined,
  },
])('with one probe out, 20 others have $status at once', async ({ policies, status, retryAfter }) => {
  const gate = holdResponse(respond({ body: 'recovered' }));
  await using upstream = await scriptedUpstream([respond({ status: 500 }), gate]);
  await using own = await ownSidecar(apiAt(upstream.origin, `policies: { ${policies} }`));
  await own.send();
  await own.clock.advance(20_000);
  const probe = own.send();
  await gate.waitForHeld(1);

  const others = await Promise.all(Array.from({ length: 20 }, () => own.send()));
  expect(new Set(others.map((other) => other.status))).toEqual(new Set([status]));
  expect(new Set(others.map((other) => other.header('retry-after')))).toEqual(new Set([retryAfter]));
  expect(gate.held).toBe(1);

  gate.release();
  expect(await (await probe).text()).toBe('recovered');
  expect(await (await own.send()).text()).toBe('recovered');
});
