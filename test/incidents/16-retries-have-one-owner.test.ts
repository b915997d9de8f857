/**
 * An SDK that retries behind a proxy that retries made twelve calls of one. The sidecar owns the retries: it tells the
 * SDK so, and what an SDK retries all the same comes out of the same budget.
 */
import { expect, it } from 'vitest';
import { failureOf, openaiAt } from '../clients/fixture.ts';
import { withStatus } from '../clients/openai-faults.ts';
import { stage } from '../e2e/stage.ts';

const SETTINGS = {
  api: 'preset: azure-openai, policies: { retry: { maxRetries: 2, backoff: { initial: 1ms, max: 1ms } } }',
};
const DOWN = withStatus(500, 'server_error', { 'retry-after-ms': '1' });
const call = (port: number, maxRetries: number, headers = {}) =>
  openaiAt(`http://127.0.0.1:${port}/api/v1`, { maxRetries }).chat.completions.create(
    { model: 'm', messages: [] },
    { headers },
  );

it.each([2, 5])(
  'an SDK that would retry %i times makes one call, and the provider sees three',
  async (maxRetries) => {
    await using on = await stage([DOWN], SETTINGS);
    expect(await failureOf(call(on.port, maxRetries))).toMatchObject({ status: 500, code: 'server_error' });
    expect(on.sidecar.eventsNamed('exchange-started')).toHaveLength(1);
    expect(on.upstream.requests).toHaveLength(3);
  },
);

it('without a word from the sidecar the same SDK comes back, and the calls multiply', async () => {
  await using on = await stage([DOWN], { api: 'policies: { retry: false, circuitBreaker: false }' });
  await failureOf(call(on.port, 2));
  expect(on.upstream.requests).toHaveLength(3);
  expect(on.sidecar.eventsNamed('exchange-started')).toHaveLength(3);
});

it('calls that are retries of an SDK leave no budget for ours', async () => {
  await using on = await stage([DOWN], {
    api: `${SETTINGS.api.replace('maxRetries: 2', 'maxRetries: 2, budget: { ratio: 0, floor: 3 }')}`,
  });
  for (let n = 1; n <= 3; n++) await failureOf(call(on.port, 0, { 'x-stainless-retry-count': String(n) }));
  // The first took one and left two for us; the others found nothing left.
  expect(on.upstream.requests).toHaveLength(3 + 1 + 1);
  expect(await on.sidecar.metric('outrigger_retries_refused_total', { why: 'budget' })).toBe(2);
});
