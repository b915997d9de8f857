/** Answers of the sidecar's own are such as the official SDKs take from the providers, and can be told from theirs. */
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, streamText } from 'ai';
import type { LanguageModel } from 'ai';
import { describe, expect, it } from 'vitest';
import type { Dialect } from '../../src/core/dialect.ts';
import { anthropic } from '../../src/dialects/anthropic.ts';
import { gemini } from '../../src/dialects/gemini.ts';
import { openai } from '../../src/dialects/openai.ts';
import { request } from '../support/answers/anthropic.ts';
import { callOf } from '../support/gated-answer.ts';
import { anthropicAt, chat, collect, geminiAt, openaiAt } from './fixture.ts';

const BASE = 'http://sidecar.test';
const TEXT = 'Nobody is there. "Bitte später" 🙂';

/** Answers every request of an SDK with what the dialect renders for it. */
const answering =
  (dialect: Dialect): typeof fetch =>
  (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const call = callOf(dialect, url.pathname + url.search, JSON.parse(init?.body as string));
    const rendered = dialect.renderAnswer?.(TEXT, call);
    if (!rendered) return Promise.resolve(new Response('', { status: 501 }));
    const [, type = ''] = rendered.headers;
    return Promise.resolve(new Response(rendered.body, { headers: { 'content-type': type } }));
  };

describe('OpenAI', () => {
  const client = openaiAt(`${BASE}/v1`, { fetch: answering(openai) });

  it('chat completions', async () => {
    const whole = await client.chat.completions.create(chat);
    expect(whole.choices[0]?.message.content).toBe(TEXT);
    expect(whole).toMatchObject({ model: 'm', system_fingerprint: 'outrigger-fallback' });
    const chunks = await collect(await client.chat.completions.create({ ...chat, stream: true }));
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(TEXT);
    const helped = await client.chat.completions.stream(chat).finalChatCompletion();
    expect(helped.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: TEXT } });
  });

  it('legacy completions', async () => {
    const prompt = { model: 'm', prompt: 'hello' };
    expect((await client.completions.create(prompt)).choices[0]?.text).toBe(TEXT);
    const chunks = await collect(await client.completions.create({ ...prompt, stream: true }));
    expect(chunks.map((chunk) => chunk.choices[0]?.text).join('')).toBe(TEXT);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop');
  });

  it('responses', async () => {
    const input = { model: 'm', input: 'hello' };
    const whole = await client.responses.create(input);
    expect(whole.output_text).toBe(TEXT);
    expect(whole).toMatchObject({ status: 'completed', metadata: { outrigger: 'fallback' } });
    const helped = await client.responses.stream(input).finalResponse();
    expect(helped).toMatchObject({ status: 'completed', output_text: TEXT });
  });

  it('words are no vectors', async () => {
    await expect(client.embeddings.create({ model: 'm', input: 'cat' })).rejects.toMatchObject({
      status: 501,
    });
  });
});

it('Anthropic', async () => {
  const client = anthropicAt(BASE, { fetch: answering(anthropic) });
  const whole = await client.messages.create(request);
  expect(whole.content).toMatchObject([{ type: 'text', text: TEXT }]);
  expect(whole).toMatchObject({ id: 'msg_outrigger_fallback', model: 'm', stop_reason: 'end_turn' });
  const helped = await client.messages.stream(request).finalMessage();
  expect(helped.content).toMatchObject([{ type: 'text', text: TEXT }]);
  expect(helped).toMatchObject({ id: 'msg_outrigger_fallback', stop_reason: 'end_turn' });
});

it('Gemini', async () => {
  const { models } = geminiAt(BASE, { fetch: answering(gemini) });
  const question = { model: 'm', contents: 'hello' };
  const whole = await models.generateContent(question);
  expect(whole.text).toBe(TEXT);
  expect(whole.modelVersion).toBe('outrigger-fallback');
  const chunks = await collect(await models.generateContentStream(question));
  expect(chunks.map(({ text }) => text ?? '').join('')).toBe(TEXT);
  expect(chunks.at(-1)?.candidates?.[0]?.finishReason).toBe('STOP');
});

const vercelOpenAi = createOpenAI({ baseURL: `${BASE}/v1`, apiKey: 'k', fetch: answering(openai) });
const vercel: readonly [string, LanguageModel][] = [
  ['chat', vercelOpenAi.chat('m')],
  ['completion', vercelOpenAi.completion('m')],
  ['responses', vercelOpenAi.responses('m')],
  ['messages', createAnthropic({ baseURL: BASE, apiKey: 'k', fetch: answering(anthropic) })('m')],
];

it.each(vercel)("Vercel's %s", async (_, model) => {
  const options = { model, prompt: 'hello', maxRetries: 0, maxOutputTokens: 9 };
  expect((await generateText(options)).text).toBe(TEXT);
  const stream = streamText(options);
  expect(await stream.text).toBe(TEXT);
  expect(await stream.finishReason).toBe('stop');
});
