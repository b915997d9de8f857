/** What one request may cost, however often it is tried. */
import { expect, test } from 'vitest';
import { respondJson } from '../support/steps/answers.ts';
import { RETRYING, ask, completion, settings } from './usage-fixture.ts';
import { stage } from './stage.ts';

const empty = respondJson(completion({ choices: [] }));

test('retries end when a request has cost enough, and the client gets the last failure', async () => {
  const more = `policies: { ${RETRYING}, spendCap: { tokens: 3000 } }`;
  await using on = await stage([empty], settings(more));
  const response = await on.send(ask());
  expect([response.status, response.header('x-outrigger-code')]).toEqual([502, 'empty_answer']);
  expect(await response.text()).toContain('nothing in it');
  // 1,200 and 1,200 spent; 1,000 more would be above 3,000.
  expect(on.upstream.requests).toHaveLength(2);
  expect(await on.sidecar.metric('outrigger_retries_refused_total', { upstream: 'api', why: 'spend' })).toBe(
    1,
  );
  expect(await on.sidecar.metric('outrigger_spend_refused_total', { upstream: 'api', by: 'retry' })).toBe(1);
});

test('a ladder skips upstreams that would cost too much, and still has its static answer', async () => {
  await using spare = await stage([respondJson(completion())]);
  const ladder =
    'fallback: [{ upstream: spare, rewrite: { body: { model: dear } } }, { static: { body: sorry } }]';
  await using on = await stage([empty], {
    ...settings(`policies: { retry: false, spendCap: { cost: 0.01 }, ${ladder} }`),
    others: [
      `spare: { route: /spare, dialect: openai, prices: { dear: { input: 100, output: 100 } }, endpoints: [{ url: "${spare.upstream.origin}" }] }`,
    ],
  });
  const response = await on.send(ask());
  expect([response.status, await response.text()]).toEqual([200, 'sorry']);
  expect(spare.upstream.requests).toHaveLength(0);
  expect(await on.sidecar.metric('outrigger_spend_refused_total', { by: 'fallback' })).toBe(1);
  expect(await on.sidecar.metric('outrigger_fallbacks_total', { step: 'spare' })).toBe(0);
});

test('a ladder goes on to upstreams that are cheap enough', async () => {
  await using spare = await stage([respondJson(completion({ model: 'cheap' }))]);
  await using on = await stage([empty], {
    ...settings('policies: { retry: false, spendCap: { cost: 0.01 }, fallback: [{ upstream: spare }] }'),
    others: [
      `spare: { route: /spare, dialect: openai, prices: { '*': { input: 1, output: 1 } }, endpoints: [{ url: "${spare.upstream.origin}" }] }`,
    ],
  });
  const response = await on.send(ask());
  expect(await response.text()).toContain('"hi"');
  expect(response.header('x-outrigger-upstream')).toBe('spare');
});
