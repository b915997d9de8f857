/** What a client sees of a limit, and that nobody takes it for the provider's. */
import { expect, it } from 'vitest';
import { apiAt, ownSidecar } from '../incidents/own-sidecar.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { stage } from './stage.ts';
import { ask } from './usage-fixture.ts';

it('a refusal has the shape of the dialect, says when to come back and which limit it was', async () => {
  const limit = 'dialect: openai, policies: { rateLimit: { requests: 1, per: 30s, by: agent } }';
  await using on = await stage([respond()], { api: limit });
  await on.send({ headers: { 'x-agent-id': 'one' } });
  const refused = await on.send({ ...ask(), headers: { 'x-agent-id': 'one' } });
  expect(refused.status).toBe(429);
  expect(refused.header('x-outrigger-code')).toBe('rate_limited');
  expect(refused.header('ratelimit-policy')).toBe('"requests/30s/agent";q=1;w=30');
  expect(refused.header('ratelimit')).toBe('"requests/30s/agent";r=0;t=30');
  expect(Number(refused.header('retry-after'))).toBe(30);
  expect(refused.header('proxy-status')).toContain('error=http_request_denied');
  expect(await refused.json()).toMatchObject({ error: { code: 'rate_limited' } });
  expect((await on.send({ headers: { 'x-agent-id': 'two' } })).status).toBe(200);
});

it("our own refusals and the provider's 429 count in different places", async () => {
  const throttled = respond({ status: 429, headers: { 'retry-after': '1' } });
  const limit = 'policies: { retry: false, rateLimit: { requests: 2, per: 1h } }';
  await using on = await stage([throttled], { api: limit });
  const answers = [await on.send(), await on.send(), await on.send()];
  expect(answers.map(({ status }) => status)).toEqual([429, 429, 429]);
  expect(answers.map((answer) => answer.header('x-outrigger-code'))).toEqual([
    undefined,
    undefined,
    'rate_limited',
  ]);
  expect(answers[1]?.header('ratelimit-policy')).toBeUndefined();
  const { sidecar } = on;
  expect(await sidecar.metric('outrigger_attempts_total', { class: 'throttled' })).toBe(2);
  expect(await sidecar.metric('outrigger_rate_limited_total', { limit: 'requests/1h', why: 'used-up' })).toBe(
    1,
  );
  expect(await sidecar.metric('outrigger_rate_limit_remaining', { limit: 'requests/1h' })).toBe(0);
});

it('a reload keeps what was taken, also one that changes the limit', async () => {
  await using upstream = await scriptedUpstream([respond()]);
  const limit = (more: string): string =>
    apiAt(upstream.origin, `policies: { rateLimit: { requests: 4, per: 1h${more} } }`);
  await using own = await ownSidecar(limit(''));
  for (let i = 0; i < 3; i++) await own.send();
  await own.edit(limit(', maxWait: 1s'));
  expect([(await own.send()).status, (await own.send()).status]).toEqual([200, 429]);
  // Switched off and on again: the buckets are where they were.
  await own.edit(apiAt(upstream.origin));
  expect((await own.send()).status).toBe(200);
  await own.edit(limit(''));
  expect((await own.send()).status).toBe(429);
});
