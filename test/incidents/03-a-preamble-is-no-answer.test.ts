/**
 * The first event of a stream was only a preamble, and then came a quota error: the answer had been committed, and no
 * fallback was taken. An answer begins with its first word, not with its first byte.
 */
import { expect, it } from 'vitest';
import { STREAMS, chatChunk, response, responseEvent } from '../support/openai-fixtures.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { eventText } from '../support/steps/event-stream.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const spareAt = (origin: string): string =>
  `spare: { route: /spare, dialect: openai, endpoints: [{ url: "${origin}" }], policies: { retry: false } }`;
const SETTINGS = 'preset: azure-openai, policies: { fallback: [{ upstream: spare }] }';

const QUOTA = eventText(JSON.stringify({ error: { message: 'no credit', code: 'insufficient_quota' } }));
const EVENTS = { 'content-type': 'text/event-stream' };

it.each([
  ['a role', '/v1/chat/completions', eventText(chatChunk({ role: 'assistant', content: '' }))],
  ['comments', '/v1/chat/completions', ': OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n'],
  ['an announcement', '/v1/responses', responseEvent('response.created', response('in_progress'))],
])(
  '%s and then a quota error: the fallback answers, and nothing of the first is seen',
  async (_, path, preamble) => {
    const body = path.endsWith('responses') ? STREAMS.responses : STREAMS.chat;
    await using upstream = await scriptedUpstream([respond({ headers: EVENTS, body: preamble + QUOTA })]);
    await using spare = await scriptedUpstream([respond({ headers: EVENTS, body })]);
    await using own = await ownSidecar(apiAt(upstream.origin, SETTINGS, spareAt(spare.origin)));
    const answer = await own.send({ method: 'POST', path: `/api${path}`, body: '{"stream":true}' });
    expect(await answer.text()).toBe(body);
    expect(answer.header('x-outrigger-upstream')).toBe('spare');
    expect(upstream.requests).toHaveLength(1);
    expect(own.events.of('fallback-taken')).toMatchObject([{ trigger: 'upstream_error', answered: true }]);
    const [ending] = await own.until('exchange-ended');
    expect(ending?.exchange.attempts).toMatchObject([{ verdict: { class: 'quota' } }, { status: 200 }]);
  },
);

it('a preamble is held for as long as nothing follows, and goes out with the first word', async () => {
  const stream = controlledStream();
  await using upstream = await scriptedUpstream([stream]);
  await using own = await ownSidecar(apiAt(upstream.origin, 'preset: azure-openai'));
  const role = eventText(chatChunk({ role: 'assistant', content: '' }));
  const word = eventText(chatChunk({ content: 'Hi' }));
  const sending = own.send({ method: 'POST', path: '/api/v1/chat/completions', body: '{"stream":true}' });
  let headSeen = false;
  void sending.then(() => (headSeen = true));
  await stream.head();
  await stream.write(role);
  await own.clock.advance(20_000);
  expect(headSeen).toBe(false);
  await stream.write(word);
  const answer = await sending;
  await answer.waitForBytes((role + word).length);
  expect(answer.received.toString()).toBe(role + word);
});
