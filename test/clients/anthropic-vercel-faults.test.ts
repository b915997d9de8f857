/** The main faults of the Anthropic dialect as callers of Vercel's SDK see them. */
import { createAnthropic } from '@ai-sdk/anthropic';
import { APICallError, generateText, streamText } from 'ai';
import { expect, it } from 'vitest';
import * as given from '../support/answers/anthropic.ts';
import { errorBody, start, streamOf, word } from '../support/answers/anthropic.ts';
import { respondJson } from '../support/steps/answers.ts';
import { cutMidBody } from '../support/steps/cuts.ts';
import { eventText, sse } from '../support/steps/event-stream.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { underFault } from './fault-rig.ts';

const model = (base: string) => createAnthropic({ baseURL: base, apiKey: 'k' })('m');
const options = { maxRetries: 0, maxOutputTokens: 9, prompt: 'hello', onError: () => undefined };

interface Streamed {
  readonly text: string;
  readonly errors: readonly unknown[];
}

async function streamed(base: string): Promise<Streamed> {
  const errors: unknown[] = [];
  let text = '';
  for await (const part of streamText({ model: model(base), ...options }).fullStream) {
    if (part.type === 'error') errors.push(part.error);
    if (part.type === 'text-delta') text += part.text;
  }
  return { text, errors };
}

const whole = (base: string) => generateText({ model: model(base), ...options });

const under = <T>(steps: readonly RequestStep[], call: (base: string) => Promise<T>) =>
  underFault({ dialect: 'anthropic', steps, call });

const nothing = respondJson({ ...given.message, content: [], stop_reason: null });
const begun = streamOf('hé').slice(0, 4);

it('JSON that took a second attempt is whole', async () => {
  const { value, requests } = await under([nothing, respondJson(given.message)], whole);
  expect(value?.text).toBe('héllo 🙂');
  expect(requests).toBe(2);
});

it('a stream that took a second attempt is whole', async () => {
  const cut = sse({ events: [start, given.ping], end: 'cut' });
  const { value, requests } = await under([cut, sse({ events: streamOf('héllo') })], streamed);
  expect(value).toEqual({ text: 'héllo', errors: [] });
  expect(requests).toBe(2);
});

it.each([
  ['our errors', nothing, 502, 'The upstream sent an answer with nothing in it.', 2],
  [
    "the provider's",
    respondJson(errorBody('authentication_error', 'wrong key'), { status: 401 }),
    401,
    'wrong key',
    1,
  ],
])('%s are raised with their status and their words', async (_, step, statusCode, message, count) => {
  const { raised, requests } = await under([step], whole);
  expect(raised).toBeInstanceOf(APICallError);
  expect(raised).toMatchObject({ statusCode, message });
  expect(requests).toBe(count);
});

it.each(['clean', 'cut'] as const)('a %s end in the middle of a stream is an error', async (end) => {
  const { value, requests } = await under([sse({ events: begun, end })], streamed);
  expect(value?.text).toBe('hé');
  expect(JSON.stringify(value?.errors)).toContain('before it was complete');
  expect(requests).toBe(1);
});

it('half an event is an error, too', async () => {
  const sent = begun.map(eventText).join('') + eventText(word('llo')).slice(0, 60);
  const step = cutMidBody({ framing: 'chunked', contentType: 'text/event-stream', sent });
  const { value } = await under([step], streamed);
  expect(value?.text).toBe('hé');
  expect(JSON.stringify(value?.errors)).toContain('before it was complete');
});
