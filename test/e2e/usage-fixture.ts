/** What the tests of usage share: answers of a provider, and how a client asks for them. */
import type { EventInit } from '../support/steps/event-stream.ts';
import type { RequestInit } from '../support/raw-client.ts';
import type { LogLine } from '../support/start-sidecar.ts';
import type { Stage, StageSettings } from './stage.ts';

export const USAGE = {
  prompt_tokens: 1_000,
  completion_tokens: 200,
  prompt_tokens_details: { cached_tokens: 400 },
  completion_tokens_details: { reasoning_tokens: 50 },
};

/** Of `USAGE` by the prices below: (600 · 1 + 400 · 0.1 + 200 · 10) per million. */
export const COST = 0.00264;

export const completion = (more: object = {}): object => ({
  id: 'c',
  object: 'chat.completion',
  model: 'gpt-5-2025-08-07',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hi' } }],
  usage: USAGE,
  ...more,
});

export const chunk = (more: object = {}): string =>
  JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    model: 'gpt-5-2025-08-07',
    choices: [{ index: 0, delta: { content: 'word ' }, finish_reason: null }],
    ...more,
  });

/** As OpenAI streams with `stream_options.include_usage`. */
export const wholeStream: readonly EventInit[] = [
  chunk({ choices: [{ index: 0, delta: { role: 'assistant' }, finish_reason: null }] }),
  chunk(),
  chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
  chunk({ choices: [], usage: USAGE }),
];

const PRICES = "prices: { 'gpt-5*': { input: 1, cachedInput: 0.1, output: 10 } }";

/** Settings of an upstream that speaks OpenAI's protocol and has prices. */
export const settings = (more = ''): StageSettings => ({
  api: `dialect: openai, idempotent: compute, ${PRICES}, ${
    more === '' ? 'policies: { retry: false }' : more
  }`,
});

/** Retries at once. */
export const RETRYING = 'retry: { backoff: { initial: 1ms, max: 1ms } }';

export const ask = (more: object = {}): RequestInit => ({
  method: 'POST',
  path: '/v1/chat/completions',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'gpt-5', messages: [{ role: 'user', content: 'hello' }], ...more }),
});

/** The line of the exchange that ended last, once `count` have. */
export async function lineOf({ sidecar }: Stage, count = 1): Promise<LogLine> {
  return (await sidecar.waitForLines(({ msg }) => msg === 'exchange', count)).at(-1) as LogLine;
}
