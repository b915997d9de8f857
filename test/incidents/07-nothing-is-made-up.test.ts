/**
 * A broken answer was continued by asking again, which corrupted texts and called tools twice. After the first word there
 * is no second try: what came stays what came, and an error follows it.
 */
import { expect, it } from 'vitest';
import { STREAMS, chatChunk } from '../support/openai-fixtures.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { cutMidBody } from '../support/steps/cuts.ts';
import { eventText } from '../support/steps/event-stream.ts';
import { eventData } from '../support/sse.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const TOOL = chatChunk({
  tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'pay', arguments: '{"sum":' } }],
});

it.each([
  ['a text', chatChunk({ content: 'The answer is 4' })],
  ['the arguments of a tool call', TOOL],
  ['a refusal', chatChunk({ refusal: 'I can' })],
])('%s that breaks off is followed by an error, never by another attempt', async (_, data) => {
  const sent = eventText(data);
  const whole = respond({ headers: { 'content-type': 'text/event-stream' }, body: STREAMS.chat });
  const cut = cutMidBody({ framing: 'chunked', contentType: 'text/event-stream', sent });
  await using upstream = await scriptedUpstream([cut, whole]);
  await using spare = await scriptedUpstream([whole]);
  const settings = 'preset: openai, policies: { retry: { maxRetries: 5 }, fallback: [{ upstream: spare }] }';
  const other = `spare: { route: /spare, preset: azure-openai, endpoints: [{ url: "${spare.origin}" }] }`;
  await using own = await ownSidecar(apiAt(upstream.origin, settings, other));
  const answer = await own.send({
    method: 'POST',
    path: '/api/v1/chat/completions',
    body: '{"stream":true}',
  });
  const text = (await answer.bytes()).toString();
  expect(text.startsWith(sent)).toBe(true);
  const events = eventData(text).map((one) => JSON.parse(one) as { error?: { code: string } });
  expect(events).toHaveLength(2);
  expect(events[1]?.error?.code).toBe('response_incomplete');
  expect([upstream.requests.length, spare.requests.length]).toEqual([1, 0]);
  expect(own.events.of('retry-scheduled')).toEqual([]);
  expect(own.events.of('fallback-taken')).toEqual([]);
});
