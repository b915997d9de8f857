/** Tokens that were spent for nothing: told once, by why, and never made up. */
import { expect, test } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { respondJson } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { eventText, sse } from '../support/steps/event-stream.ts';
import {
  COST,
  RETRYING,
  USAGE,
  ask,
  chunk,
  completion,
  lineOf,
  settings,
  wholeStream,
} from './usage-fixture.ts';
import { stage, type Stage } from './stage.ts';

const wasted = ({ sidecar }: Stage, why: string, type = 'input'): Promise<number> =>
  sidecar.metric('outrigger_wasted_tokens_total', { upstream: 'api', model: 'gpt-5*', why, type });

/** Usage with every event, as some providers send it on request. */
const counting = (completionTokens: number): string =>
  chunk({ usage: { prompt_tokens: 1_000, completion_tokens: completionTokens } });

test('an answer that turned out empty is waste, and the retry beside it is not', async () => {
  const empty = completion({ choices: [], usage: { prompt_tokens: 300, completion_tokens: 0 } });
  await using on = await stage(
    [respondJson(empty), respondJson(completion())],
    settings(`policies: { ${RETRYING} }`),
  );
  await (await on.send(ask())).text();
  expect(await lineOf(on)).toMatchObject({
    attempts: 2,
    inputTokens: 1_300,
    outputTokens: 200,
    wastedTokens: 300,
    wastedCost: 0.0003,
    cost: 0.00294,
    trail: [{ wasted: 'failed' }, {}],
  });
  expect(await wasted(on, 'failed')).toBe(300);
  expect(await on.sidecar.metric('outrigger_tokens_total', { type: 'input' })).toBe(1_300);
  expect(await on.sidecar.metric('outrigger_wasted_cost_total', { why: 'failed' })).toBeCloseTo(0.0003, 9);
  expect(on.sidecar.eventsNamed('answer-read')).toHaveLength(2);
});

test('an answer that the operator calls a failure is discarded for the next one', async () => {
  const more = `classify: [{ status: [203], as: transient }], policies: { ${RETRYING} }`;
  const first = respondJson(completion(), { status: 203 });
  await using on = await stage([first, respondJson(completion())], settings(more));
  await (await on.send(ask())).text();
  expect(await lineOf(on)).toMatchObject({ inputTokens: 2_000, wastedTokens: 1_200, wastedCost: COST });
  expect(await wasted(on, 'discarded')).toBe(1_000);
  expect(on.sidecar.eventsNamed('answer-read')).toHaveLength(2);
});

test('a stream that is cut before its first token counts what its preamble told', async () => {
  const preamble = chunk({ choices: [], usage: { prompt_tokens: 1_000, completion_tokens: 0 } });
  const steps = [sse({ events: [preamble], end: 'cut' }), sse({ events: wholeStream, terminator: '[DONE]' })];
  await using on = await stage(steps, settings(`policies: { ${RETRYING} }`));
  await (await on.send(ask({ stream: true }))).text();
  expect(await lineOf(on)).toMatchObject({ outcome: 'ok', wastedTokens: 1_000 });
  expect(await wasted(on, 'failed')).toBe(1_000);
});

test.each(['cut', 'reset', 'clean'] as const)(
  'a stream that breaks off (%s) on its way to the client is waste as far as it was told',
  async (end) => {
    const stream = controlledStream();
    await using on = await stage([stream], settings());
    const sending = on.send(ask({ stream: true }));
    await stream.head();
    await stream.write(eventText(counting(1)) + eventText(counting(2)));
    const response = await sending;
    await response.nextChunk();
    await (end === 'cut' ? stream.cut() : end === 'reset' ? stream.reset() : stream.end());
    await response.over;
    expect(await lineOf(on)).toMatchObject({ outcome: 'error', inputTokens: 1_000, wastedTokens: 1_002 });
    expect([await wasted(on, 'cut'), await wasted(on, 'cut', 'output')]).toEqual([1_000, 2]);
    expect(on.sidecar.eventsNamed('answer-read')).toHaveLength(1);
  },
);

test.each(['destroy', 'reset'] as const)(
  'a client that leaves (%s) a stream makes it waste',
  async (leave) => {
    const stream = controlledStream();
    await using on = await stage([stream], settings());
    await using client = await rawClient(on.port);
    const sending = client.request({ ...ask({ stream: true }), path: '/api/v1/chat/completions' });
    await stream.head();
    await stream.write(eventText(counting(3)));
    await (await sending).nextChunk();
    client[leave]();
    expect(await lineOf(on)).toMatchObject({ outcome: 'aborted', wastedTokens: 1_003 });
    expect(await wasted(on, 'client-gone', 'output')).toBe(3);
    expect(on.sidecar.eventsNamed('answer-read')).toHaveLength(1);
  },
);

test('a JSON answer that is cut is unmeasured, by the model that was asked for', async () => {
  const text = JSON.stringify(completion());
  const headers = { 'content-type': 'application/json', 'content-length': String(text.length) };
  const stream = controlledStream();
  await using on = await stage([stream], settings());
  const sending = on.send(ask());
  await stream.head({ headers });
  await stream.write(text.slice(0, 40));
  await stream.cut();
  expect((await sending).status).toBe(502);
  await on.sidecar.waitForEvent('exchange-ended');
  const labels = { upstream: 'api', model: 'gpt-5*', end: 'failed' };
  expect(await on.sidecar.metric('outrigger_unmeasured_answers_total', labels)).toBe(1);
  expect(on.sidecar.eventsNamed('answer-read')).toHaveLength(1);
});

test('what a ladder throws away is waste of the upstream that gave it', async () => {
  await using spare = await stage([respondJson(completion({ model: 'spare-1' }))], settings());
  const origin = spare.upstream.origin;
  const on = await stage([respondJson(completion(), { status: 203 })], {
    ...settings(
      'policies: { retry: false, fallback: { on: { statuses: [203] }, steps: [{ upstream: spare }] } }',
    ),
    others: [
      `spare: { route: /spare, dialect: openai, models: ['spare-*'], endpoints: [{ url: "${origin}" }] }`,
    ],
  });
  await using _ = on;
  const response = await on.send(ask());
  await response.text();
  expect(response.header('x-outrigger-model')).toBe('spare-1');
  expect(await lineOf(on)).toMatchObject({
    model: 'spare-1',
    inputTokens: 2 * USAGE.prompt_tokens,
    wastedTokens: 1_200,
    cost: COST,
    wastedCost: COST,
  });
  expect(await wasted(on, 'discarded')).toBe(1_000);
  const labels = { upstream: 'spare', model: 'spare-*', type: 'input' };
  expect(await on.sidecar.metric('outrigger_tokens_total', labels)).toBe(1_000);
});
