/**
 * A 200 with nothing in it counted as success: it was passed on, cached, and credited the breaker. Where the dialect is
 * known, success is what the body says.
 */
import { expect, it } from 'vitest';
import { CHAT_JSON, chatChunk } from '../support/openai-fixtures.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { eventText } from '../support/steps/event-stream.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';

const EMPTY: readonly (readonly [string, RequestStep])[] = [
  ['no body', respond()],
  ['no body, said to be JSON', respond({ headers: { 'content-type': 'application/json' } })],
  ['null', respondJson(null)],
  ['no choices', respondJson({ ...CHAT_JSON, choices: [] })],
  ['no events', respond({ headers: { 'content-type': 'text/event-stream' } })],
  [
    'an end mark alone',
    respond({ headers: { 'content-type': 'text/event-stream' }, body: eventText('[DONE]') }),
  ],
];

const POST = { method: 'POST', path: '/api/v1/chat/completions', body: '{}' } as const;

it.each(EMPTY)('a 200 with %s is a failure: the breaker counts it', async (_, step) => {
  await using upstream = await scriptedUpstream([step]);
  const settings =
    'preset: azure-openai, policies: { retry: false, circuitBreaker: { consecutiveFailures: 3 } }';
  await using own = await ownSidecar(apiAt(upstream.origin, settings));
  const codes: (string | undefined)[] = [];
  for (let n = 0; n < 4; n++) codes.push((await own.send(POST)).header('x-outrigger-code'));
  expect(codes).toEqual(['empty_answer', 'empty_answer', 'empty_answer', 'circuit_open']);
  expect(upstream.requests).toHaveLength(3);
});

it.each(EMPTY)('a 200 with %s is tried again', async (_, step) => {
  await using upstream = await scriptedUpstream([step, respondJson(CHAT_JSON)]);
  const settings = 'preset: azure-openai, policies: { retry: { backoff: { initial: 0s, max: 0s } } }';
  await using own = await ownSidecar(apiAt(upstream.origin, settings));
  const answer = await own.send(POST);
  expect([answer.status, await answer.text()]).toEqual([200, JSON.stringify(CHAT_JSON)]);
  expect(answer.header('x-outrigger-attempts')).toBe('2');
});

it.each(EMPTY)('a 200 with %s is not kept: the next call is answered by the upstream', async (_, step) => {
  await using upstream = await scriptedUpstream([step, respondJson(CHAT_JSON)]);
  const settings = 'preset: azure-openai, policies: { retry: false, cache: { models: { ttl: 1h } } }';
  await using own = await ownSidecar(apiAt(upstream.origin, settings));
  const codes: (string | undefined)[] = [];
  for (let n = 0; n < 3; n++) codes.push((await own.send(POST)).header('x-outrigger-code'));
  expect(codes).toEqual(['empty_answer', undefined, undefined]);
  expect(upstream.requests).toHaveLength(2);
  expect(own.events.of('cache-consulted').map(({ result }) => result)).toEqual(['miss', 'miss', 'hit']);
});

it('an error inside a 200 is not kept, nor one in the middle of a stream', async () => {
  const error = JSON.stringify({ error: { message: 'busy', type: 'server_error', code: 'overloaded' } });
  const broken = respond({
    headers: { 'content-type': 'text/event-stream' },
    body: eventText(chatChunk({ content: 'Hel' })) + eventText(error),
    framing: 'chunked',
  });
  await using upstream = await scriptedUpstream([
    respond({ headers: { 'content-type': 'application/json' }, body: error }),
    broken,
    respondJson(CHAT_JSON),
  ]);
  const settings = 'preset: azure-openai, policies: { retry: false, cache: { models: { ttl: 1h } } }';
  await using own = await ownSidecar(apiAt(upstream.origin, settings));
  for (let n = 0; n < 4; n++) await (await own.send(POST)).ended();
  expect(own.events.of('cache-consulted').map(({ result }) => result)).toEqual([
    'miss',
    'miss',
    'miss',
    'hit',
  ]);
  expect(upstream.requests).toHaveLength(3);
});
