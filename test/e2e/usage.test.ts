/** What a delivered answer cost, in metrics, in the log and to the client. */
import { expect, test } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { eventText, sse } from '../support/steps/event-stream.ts';
import { COST, ask, chunk, completion, lineOf, settings, wholeStream } from './usage-fixture.ts';
import { stage, type Stage } from './stage.ts';

const tokens = async ({ sidecar }: Stage, name = 'outrigger_tokens_total', labels = {}) => ({
  input: await sidecar.metric(name, { type: 'input', ...labels }),
  cached: await sidecar.metric(name, { type: 'cached', ...labels }),
  output: await sidecar.metric(name, { type: 'output', ...labels }),
  reasoning: await sidecar.metric(name, { type: 'reasoning', ...labels }),
});

const ALL = { input: 1_000, cached: 400, output: 200, reasoning: 50 };
const NONE = { input: 0, cached: 0, output: 0, reasoning: 0 };

test('a JSON answer is counted by upstream and configured model, with its cost, and names its model', async () => {
  await using on = await stage([respondJson(completion())], settings());
  const response = await on.send(ask());
  await response.text();
  expect(response.header('x-outrigger-model')).toBe('gpt-5-2025-08-07');
  expect(await lineOf(on)).toMatchObject({
    model: 'gpt-5-2025-08-07',
    finishReason: 'stop',
    inputTokens: 1_000,
    cachedTokens: 400,
    outputTokens: 200,
    reasoningTokens: 50,
    cost: COST,
  });
  const labels = { upstream: 'api', model: 'gpt-5*' };
  expect(await tokens(on, 'outrigger_tokens_total', labels)).toEqual(ALL);
  expect(await on.sidecar.metric('outrigger_cost_total', { ...labels, currency: 'USD' })).toBeCloseTo(COST);
  expect(await tokens(on, 'outrigger_wasted_tokens_total')).toEqual(NONE);
  expect(await on.sidecar.metric('outrigger_first_token_seconds_count')).toBe(0);
  expect(on.sidecar.eventsNamed('answer-read')).toHaveLength(1);
});

test('a stream is counted at its last event, and its first token and longest gap are measured', async () => {
  await using on = await stage([sse({ events: wholeStream, terminator: '[DONE]' })], settings());
  const response = await on.send(ask({ stream: true, stream_options: { include_usage: true } }));
  await response.text();
  expect(response.header('x-outrigger-model')).toBe('gpt-5-2025-08-07');
  const line = await lineOf(on);
  expect(line).toMatchObject({ finishReason: 'stop', outputTokens: 200, cost: COST });
  expect(line['firstTokenMs']).toBeGreaterThan(0);
  expect(line).not.toHaveProperty('wastedTokens');
  expect(await tokens(on)).toEqual(ALL);
  for (const name of ['outrigger_first_token_seconds', 'outrigger_stream_gap_seconds'])
    expect(await on.sidecar.metric(`${name}_count`, { upstream: 'api', model: 'gpt-5*' })).toBe(1);
  expect(on.sidecar.eventsNamed('answer-read')).toHaveLength(1);
});

test('a stream without usage is counted as unmeasured: nothing is made up', async () => {
  const events = wholeStream.slice(0, 3);
  await using on = await stage([sse({ events, terminator: '[DONE]' })], settings());
  await (await on.send(ask({ stream: true }))).text();
  const line = await lineOf(on);
  expect(line).toMatchObject({ model: 'gpt-5-2025-08-07' });
  expect(line).not.toHaveProperty('inputTokens');
  expect(await tokens(on)).toEqual(NONE);
  const labels = { upstream: 'api', model: 'gpt-5*', end: 'delivered' };
  expect(await on.sidecar.metric('outrigger_unmeasured_answers_total', labels)).toBe(1);
  // The request is not changed to get it.
  expect(on.upstream.requests[0]?.json()).toEqual(JSON.parse(String(ask({ stream: true }).body)));
});

test('malformed events are counted, and the stream goes on', async () => {
  const events = [chunk(), '{broken', ...wholeStream.slice(2)];
  await using on = await stage([sse({ events, terminator: '[DONE]' })], settings());
  expect(await (await on.send(ask({ stream: true }))).text()).toContain('{broken');
  await on.sidecar.waitForEvent('exchange-ended');
  expect(await on.sidecar.metric('outrigger_stream_malformed_events_total', { upstream: 'api' })).toBe(1);
  expect(await tokens(on)).toEqual(ALL);
});

test('an answer that is too large to be held is counted by what stands at its end', async () => {
  const data = [{ object: 'embedding', embedding: Array.from({ length: 75_000 }, (_, n) => n / 7) }];
  const usage = { prompt_tokens: 77, total_tokens: 77 };
  const answer = { object: 'list', data, model: 'gpt-5-embed', usage };
  await using on = await stage([respondJson(answer)], settings());
  const response = await on.send({ ...ask(), path: '/v1/embeddings' });
  const text = await response.text();
  expect(text.length).toBeGreaterThan(1024 * 1024);
  expect(text === JSON.stringify(answer)).toBe(true);
  expect(response.header('x-outrigger-model')).toBeUndefined();
  expect(await lineOf(on)).toMatchObject({ model: 'gpt-5-embed', inputTokens: 77, outputTokens: 0 });
  expect(await tokens(on, 'outrigger_tokens_total', { model: 'gpt-5*' })).toEqual({ ...NONE, input: 77 });
});

test('models that nobody configured share one label, whatever clients and providers call them', async () => {
  const names = Array.from({ length: 20 }, (_, n) => `model-${n}`);
  const steps = names.map((model) => respondJson(completion({ model })));
  await using on = await stage(steps, settings());
  await using client = await rawClient(on.port);
  for (const model of names)
    await (await client.request({ ...ask({ model }), path: '/api/v1/chat/completions' })).text();
  await on.sidecar.waitForEvent('exchange-ended', names.length);
  expect(await tokens(on, 'outrigger_tokens_total', { model: 'other' })).toMatchObject({ input: 20_000 });
  const text = await on.sidecar.sidecar.metrics.text();
  expect(text).not.toContain('model-');
  expect(await on.sidecar.metric('outrigger_cost_total')).toBe(0);
});

test('a model whose name cannot stand in a header is not told there', async () => {
  await using on = await stage([respondJson(completion({ model: 'a\r\nset-cookie: b=c' }))], settings());
  const response = await on.send(ask());
  await response.text();
  expect([response.status, response.header('x-outrigger-model')]).toEqual([200, undefined]);
  expect(response.header('set-cookie')).toBeUndefined();
  expect(await lineOf(on)).toMatchObject({ model: 'a\r\nset-cookie: b=c' });
});

test('what is no answer of a model has none of this in its line', async () => {
  await using on = await stage([respondJson({ usage: { prompt_tokens: 3 } })], {});
  await (await on.send()).text();
  const line = await lineOf(on);
  for (const field of ['model', 'inputTokens', 'cost', 'firstTokenMs', 'finishReason'])
    expect(line).not.toHaveProperty(field);
  expect(on.sidecar.eventsNamed('answer-read')).toEqual([]);
});

test('an error of the provider is read once, and costs nothing', async () => {
  await using on = await stage([respondJson({ error: { message: 'no' } }, { status: 400 })], settings());
  await (await on.send(ask())).text();
  await on.sidecar.waitForEvent('exchange-ended');
  expect(on.sidecar.eventsNamed('answer-read')).toHaveLength(1);
  expect(await on.sidecar.metric('outrigger_unmeasured_answers_total')).toBe(0);
});

test('the gap is the longest silence, told once its stream has ended', async () => {
  const answer = controlledStream();
  await using on = await stage([answer], settings());
  const sending = on.send(ask({ stream: true }));
  await answer.head();
  await answer.write(eventText(chunk()));
  const response = await sending;
  await response.nextChunk();
  expect(await on.sidecar.metric('outrigger_stream_gap_seconds_count')).toBe(0);
  for (const event of wholeStream.slice(2)) await answer.write(eventText(event));
  await answer.write(eventText('[DONE]'));
  await answer.end();
  await response.text();
  const [read] = await on.sidecar.waitForEvent('answer-read');
  expect(await on.sidecar.metric('outrigger_stream_gap_seconds_sum')).toBeCloseTo(
    (read?.attempt.answer?.longestGapMs ?? 0) / 1_000,
    6,
  );
});

test('an answer in a coding that nobody can read is passed on as it is, and is told once', async () => {
  const headers = { 'content-type': 'application/json', 'content-encoding': 'x-unknown' };
  await using on = await stage([respond({ headers, body: '{}' })], settings());
  expect(await (await on.send(ask())).text()).toBe('{}');
  await on.sidecar.waitForEvent('exchange-ended');
  expect(on.sidecar.eventsNamed('answer-read')).toHaveLength(1);
  expect(await tokens(on)).toEqual(NONE);
});
