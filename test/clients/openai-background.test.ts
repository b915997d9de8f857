import { describe, expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { sse } from '../support/steps/event-stream.ts';
import type { EventInit } from '../support/steps/event-stream.ts';
import { collect, failureOf, openaiAt } from './fixture.ts';

const response = { id: 'resp_1', object: 'response', background: true, model: 'm', output: [] };

const event = (number: number, type: string, fields: object = {}): EventInit => ({
  event: type,
  data: JSON.stringify({ type, sequence_number: number, ...fields }),
});

const begun = (background = true): EventInit =>
  event(0, 'response.created', { response: { ...response, background, status: 'queued' } });
const word = (number: number, delta: string): EventInit =>
  event(number, 'response.output_text.delta', { item_id: 'i', output_index: 0, content_index: 0, delta });
const done = (number: number): EventInit =>
  event(number, 'response.completed', { response: { ...response, status: 'completed' } });

const route = (origin: string): string => `
upstreams:
  models:
    route: /models
    dialect: openai
    endpoints: [{ url: "${origin}" }]
    credentials: { value: Bearer sk-upstream }
    policies: { resume: { tries: 3, initial: 1ms, max: 2ms }, retry: false }
`;

const request = { model: 'm', input: 'hello', background: true, stream: true } as const;

async function texts(port: number): Promise<string[]> {
  const client = openaiAt(`http://127.0.0.1:${port}/models/v1`);
  const items = await collect(await client.responses.create(request));
  return items.map((item) => ('delta' in item && typeof item.delta === 'string' ? item.delta : item.type));
}

describe('a background response of the OpenAI SDK, through the sidecar', () => {
  it.each(['cut', 'reset', 'clean'] as const)(
    'goes on where its stream broke off (%s), and the client sees one stream',
    async (end) => {
      await using upstream = await scriptedUpstream([
        sse({ events: [begun(), word(1, 'a'), word(2, 'b')], end }),
        sse({ events: [word(3, 'c')], end }),
        sse({ events: [word(4, 'd'), done(5)] }),
      ]);
      await using proxy = await startSidecar(route(upstream.origin));
      expect(await texts(proxy.port)).toEqual(['response.created', 'a', 'b', 'c', 'd', 'response.completed']);
      const asked = upstream.requests.map(({ method, target }) => `${method} ${target}`);
      expect(asked).toEqual([
        'POST /v1/responses',
        'GET /v1/responses/resp_1?stream=true&starting_after=2',
        'GET /v1/responses/resp_1?stream=true&starting_after=3',
      ]);
      expect(upstream.requests.map((sent) => sent.header('authorization'))).toEqual(
        Array.from({ length: 3 }, () => 'Bearer sk-upstream'),
      );
      expect(
        await proxy.metric('outrigger_stream_resumptions_total', { upstream: 'models', result: 'resumed' }),
      ).toBe(2);
      const [ended] = await proxy.waitForEvent('exchange-ended');
      expect(ended).toMatchObject({ result: 'ok', status: 200 });
    },
  );

  it('tries again when the continuation fails, and breaks visibly when it never comes', async () => {
    await using upstream = await scriptedUpstream([
      sse({ events: [begun(), word(1, 'a')], end: 'cut' }),
      respond({ status: 503 }),
      sse({ events: [], end: 'cut' }),
      respond({ status: 500 }),
    ]);
    await using proxy = await startSidecar(route(upstream.origin));
    await failureOf(texts(proxy.port));
    expect(upstream.requests.length).toBe(4);
    expect(await proxy.metric('outrigger_stream_resumptions_total', { result: 'failed' })).toBe(1);
  });

  it('is not asked for again once it is gone', async () => {
    await using upstream = await scriptedUpstream([
      sse({ events: [begun(), word(1, 'a')], end: 'cut' }),
      respondJson({ error: { message: 'no such response', code: 'not_found' } }, { status: 404 }),
    ]);
    await using proxy = await startSidecar(route(upstream.origin));
    await failureOf(texts(proxy.port));
    expect(upstream.requests.length).toBe(2);
  });

  it('is never asked for where the response ended with its stream', async () => {
    await using upstream = await scriptedUpstream([
      sse({ events: [begun(false), word(1, 'a')], end: 'cut' }),
    ]);
    await using proxy = await startSidecar(route(upstream.origin));
    const error = await failureOf(texts(proxy.port));
    expect(error).toMatchObject({ code: 'response_incomplete' });
    expect(upstream.requests.length).toBe(1);
  });

  it('does not go on after a client that left', async () => {
    await using upstream = await scriptedUpstream([sse({ events: [begun(), word(1, 'a')], end: 'stall' })]);
    await using proxy = await startSidecar(route(upstream.origin));
    const client = openaiAt(`http://127.0.0.1:${proxy.port}/models/v1`);
    const stream = await client.responses.create(request);
    for await (const item of stream) if ('delta' in item) break;
    await proxy.waitForEvent('exchange-ended');
    expect(upstream.requests.length).toBe(1);
  });
});
