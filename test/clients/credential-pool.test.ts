/** The official SDK in front of several keys, of which one is no good: its caller must not notice. */
import OpenAI from 'openai';
import { expect, it } from 'vitest';
import { keyedUpstream } from '../support/keyed-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { chat, collect, failureOf, openaiAt } from './fixture.ts';

const completion = {
  id: 'c1',
  object: 'chat.completion',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hi' } }],
};

const chunk = (delta: object, finish: string | null = null): string =>
  `data: ${JSON.stringify({ id: 'c1', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

const stream = (...events: readonly string[]) =>
  respond({ headers: { 'content-type': 'text/event-stream' }, body: events, framing: 'chunked' });

const refusal = (status: number, code: string, headers = {}) =>
  respondJson({ error: { message: `refused: ${code}`, type: code, code } }, { status, headers });

const poolAt = (origin: string): string => `
upstreams:
  openai:
    route: /openai
    preset: openai
    endpoints: [{ url: "${origin}" }]
    credentials: { keys: [{ name: team-a, value: Bearer k1 }, { name: team-b, value: Bearer k2 }] }
`;

it.each([
  ['is throttled', refusal(429, 'rate_limit_exceeded', { 'retry-after': '60' }), 'cooling'],
  ['has no quota left', refusal(429, 'insufficient_quota'), 'out'],
  ['was revoked', refusal(401, 'invalid_api_key'), 'out'],
])('a key that %s costs the caller of the SDK nothing', async (_, step, state) => {
  await using api = await keyedUpstream({ k1: step }, respondJson(completion));
  await using proxy = await startSidecar(poolAt(api.origin));
  const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
  for (let n = 0; n < 3; n++) {
    const answer = await openai.chat.completions.create(chat);
    expect(answer.choices[0]?.message.content).toBe('hi');
  }
  expect(api.seen).toEqual({ k1: 1, k2: 3 });
  const labels = { upstream: 'openai', credential: 'team-a', state };
  expect(await proxy.metric('outrigger_credential_state', labels)).toBe(1);
});

it('a quota error inside a stream, before its first word, is followed by another key unseen', async () => {
  const error = `data: ${JSON.stringify({ error: { message: 'no quota', code: 'insufficient_quota' } })}\n\n`;
  const good = stream(chunk({ role: 'assistant' }), chunk({ content: 'hi' }, 'stop'), 'data: [DONE]\n\n');
  await using api = await keyedUpstream({ k1: stream(chunk({ role: 'assistant' }), error) }, good);
  await using proxy = await startSidecar(poolAt(api.origin));
  const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
  const chunks = await collect(await openai.chat.completions.create({ ...chat, stream: true }));
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('hi');
  expect(api.seen).toEqual({ k1: 1, k2: 1 });
  expect(proxy.eventsNamed('credential-out')).toMatchObject([{ credential: 'team-a', cause: 'quota' }]);
});

it('the SDK hears of keys that all rest as of a rate limit, once, and does not retry', async () => {
  const resting = refusal(429, 'rate_limit_exceeded', { 'retry-after': '300' });
  await using api = await keyedUpstream({ k1: resting, k2: resting });
  await using proxy = await startSidecar(poolAt(api.origin));
  const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`, { maxRetries: 2 });
  await failureOf(openai.chat.completions.create(chat));
  const raised = await failureOf(openai.chat.completions.create(chat));
  expect(raised).toBeInstanceOf(OpenAI.RateLimitError);
  expect(raised).toMatchObject({
    status: 429,
    code: expect.stringMatching(/^(credentials_cooling|paced)$/) as string,
  });
  expect(api.seen).toEqual({ k1: 1, k2: 1 });
});
