/** Cached answers through the official SDKs: streams and whole answers, as if the provider had given them. */
import { expect, it } from 'vitest';
import { CHAT_JSON, STREAMS } from '../support/openai-fixtures.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { chat, collect, openaiAt } from './fixture.ts';

const routeTo = (origin: string): string => `
upstreams:
  openai:
    route: /openai
    preset: azure-openai
    endpoints: [{ url: "${origin}" }]
    policies: { cache: { models: { ttl: 1h } } }
`;

it('the SDK of OpenAI gets a cached stream chunk by chunk, from another client with the same key, too', async () => {
  const body = STREAMS['chat with tool calls'].split(/(?<=\n\n)/);
  const answer = { headers: { 'content-type': 'text/event-stream' }, body, framing: 'chunked' } as const;
  await using upstream = await scriptedUpstream([respond(answer)]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  const ask = async () => {
    const client = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    const { data, response } = await client.chat.completions.create({ ...chat, stream: true }).withResponse();
    return { chunks: await collect(data), response };
  };
  const first = await ask();
  const second = await ask();
  expect(second.chunks).toEqual(first.chunks);
  expect(second.chunks.length).toBe(body.length - 1);
  expect(second.response.headers.get('x-outrigger-source')).toBe('cache');
  expect(second.response.headers.get('cache-status')).toContain('outrigger; hit');
  expect(upstream.requests).toHaveLength(1);
});

it('a cached whole answer is one that the SDK reads, and another key has none of it', async () => {
  await using upstream = await scriptedUpstream([respondJson(CHAT_JSON)]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  const ask = (apiKey: string) =>
    openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`, { apiKey }).chat.completions.create(chat);
  const first = await ask('sk-one');
  expect(await ask('sk-one')).toEqual(first);
  expect(upstream.requests).toHaveLength(1);
  await ask('sk-two');
  expect(upstream.requests).toHaveLength(2);
});
