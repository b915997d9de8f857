/**
 * One malformed line killed a good stream, and a stream that had stalled never reached the fallback. An upstream that is
 * cut, one that stalls and one that talks nonsense are three outcomes; and what is merely unknown passes untouched.
 */
import { expect, it } from 'vitest';
import { STREAMS, chatChunk } from '../support/openai-fixtures.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond, respondRaw } from '../support/steps/answers.ts';
import { closeMidHead } from '../support/steps/cuts.ts';
import { eventText, sse } from '../support/steps/event-stream.ts';
import { garbage } from '../support/steps/malformed.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const POLICIES = 'policies: { retry: false, fallback: [{ upstream: spare }] }';
const spareAt = (origin: string): string =>
  `spare: { route: /spare, endpoints: [{ url: "${origin}" }], policies: { retry: false } }`;

it.each<[string, RequestStep, string, number]>([
  ['cut in its head', closeMidHead(), 'response_incomplete', 0],
  ['silent', stall(), 'first_byte_timeout', 60_000],
  ['talking nonsense', garbage(), 'protocol_error', 0],
])('an upstream that is %s is followed by the fallback, for a reason of its own', async (...row) => {
  const [, step, reason, afterMs] = row;
  await using upstream = await scriptedUpstream([step]);
  await using spare = await scriptedUpstream([respond({ body: 'from the spare' })]);
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES, spareAt(spare.origin)));
  const answer = own.send();
  await upstream.waitForRequest();
  await own.clock.advance(afterMs);
  expect(await (await answer).text()).toBe('from the spare');
  expect(own.events.of('fallback-taken')).toMatchObject([{ trigger: reason, answered: true }]);
  const [ending] = await own.until('exchange-ended');
  expect(ending?.exchange.attempts).toMatchObject([{ reason }, { status: 200 }]);
});

const EVENT = 'data: one\n\n';
const NONSENSE = respondRaw(
  `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nb\r\n${EVENT}\r\nzz\r\n`,
);

it.each<[string, RequestStep, string, number]>([
  ['is cut', sse({ events: ['one'], end: 'cut' }), 'response_incomplete', 0],
  ['stalls', sse({ events: ['one'], end: 'stall' }), 'idle_timeout', 120_000],
  ['turns into nonsense', NONSENSE, 'protocol_error', 0],
])('a stream that %s is broken off, for a reason of its own', async (...row) => {
  const [, step, reason, afterMs] = row;
  await using upstream = await scriptedUpstream([step]);
  await using spare = await scriptedUpstream([respond()]);
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES, spareAt(spare.origin)));
  const response = await own.send();
  await response.waitForBytes(EVENT.length);
  await own.clock.advance(afterMs);
  expect(await response.ended()).toBe('cut');
  expect(response.received.toString()).toBe(EVENT);
  expect(await own.until('exchange-ended')).toMatchObject([{ status: 200, result: 'error', reason }]);
  expect(await own.series('outrigger_broken_responses_total')).toEqual([
    `outrigger_broken_responses_total{upstream="api",reason="${reason}"} 1`,
  ]);
  expect(own.events.of('fallback-taken')).toEqual([]);
  expect(spare.requests).toEqual([]);
});

/** What parsers have choked on: each is either legal, or to be ignored by whoever reads the events. */
const ODD_FRAMES = Buffer.concat(
  [
    '\ufeff: a byte order mark\n\n',
    'data\n\ndata:\n\ndata:no space\n\n',
    'no colon at all\n:\n::\n\n',
    'event: unknown_kind\ndata: {"half": \n\n',
    'data: [DONE\ndata: \u0000 nul\nid: \u0000\nretry: soon\n\n',
    'data: line ends\r\n\r\ndata: of all\r\rdata: kinds\n\r\n',
    `x-unknown: ${'y'.repeat(20_000)}\n\n\n\n\n`,
    'data: [DONE]\n\ndata: after the end\n\ndata: without an end',
  ].map((text) => Buffer.from(text)),
);
const ODD_STREAM = Buffer.concat([ODD_FRAMES, Buffer.from([0xff, 0xc3, 0x28, 0x0a, 0x0a, 0xed, 0xa0, 0x80])]);

it.each<[string, readonly Buffer[]]>([
  ['in one piece', [ODD_STREAM]],
  [
    'in many',
    Array.from({ length: Math.ceil(ODD_STREAM.length / 7) }, (_, n) => ODD_STREAM.subarray(n * 7, n * 7 + 7)),
  ],
])('a stream full of oddities, %s, arrives byte for byte and ends well', async (_, body) => {
  const headers = { 'content-type': 'text/event-stream' };
  await using upstream = await scriptedUpstream([respond({ framing: 'chunked', headers, body })]);
  await using own = await ownSidecar(apiAt(upstream.origin, POLICIES, spareAt('http://127.0.0.1:1')));
  const response = await own.send({ method: 'POST', body: '{"stream":true}' });
  expect((await response.bytes()).equals(ODD_STREAM)).toBe(true);
  expect(await own.until('exchange-ended')).toMatchObject([{ result: 'ok', reason: undefined }]);
});

const EVENTS = { 'content-type': 'text/event-stream' };
const ROLE = eventText(chatChunk({ role: 'assistant', content: '' }));
const WORD = eventText(chatChunk({ content: 'Hi' }));
const CHAT = { method: 'POST', path: '/api/v1/chat/completions', body: '{"stream":true}' } as const;
const openaiSpare = (origin: string): string =>
  spareAt(origin).replace('policies', 'dialect: openai, policies');

it('where the dialect is known, a malformed line in a good stream passes with the rest, which ends well', async () => {
  const body = `${ROLE}${WORD}data: {half a line\n\n: odd\nfoo: bar\n\n${eventText('[DONE]')}`;
  await using upstream = await scriptedUpstream([
    respond({ framing: 'chunked', headers: EVENTS, body: [body] }),
  ]);
  await using own = await ownSidecar(apiAt(upstream.origin, 'dialect: openai'));
  expect(await (await own.send(CHAT)).text()).toBe(body);
  expect(await own.until('exchange-ended')).toMatchObject([{ result: 'ok', reason: undefined }]);
  expect(own.events.of('answer-read')[0]?.attempt.answer).toMatchObject({ malformed: 1 });
});

it.each<[string, RequestStep, string, number]>([
  ['is cut', sse({ events: [chatChunk({ role: 'assistant' })], end: 'cut' }), 'response_incomplete', 0],
  ['ends without its end mark', respond({ headers: EVENTS, body: ROLE }), 'response_incomplete', 0],
  ['talks nonsense', respond({ headers: EVENTS, body: 'data: {half a line\n\n' }), 'malformed_answer', 0],
  ['stalls', stallAfterHead({ headers: EVENTS }, [ROLE]), 'first_token_timeout', 30_000],
])('before its first word, a stream that %s is followed by the fallback', async (...row) => {
  const [, step, reason, afterMs] = row;
  await using upstream = await scriptedUpstream([step]);
  await using spare = await scriptedUpstream([respond({ headers: EVENTS, body: STREAMS.chat })]);
  const settings = `dialect: openai, ${POLICIES.replace('{ ', '{ attemptTimeout: { firstToken: 30s }, ')}`;
  await using own = await ownSidecar(apiAt(upstream.origin, settings, openaiSpare(spare.origin)));
  const answer = own.send(CHAT);
  await upstream.waitForRequest();
  // The stream must have begun before time passes.
  const reading = () => own.events.of('exchange-started')[0]?.exchange.attempts[0]?.answer;
  await expect.poll(reading, { interval: 2 }).toBeDefined();
  for (let ms = 0; ms < afterMs; ms += 1_000) await own.clock.advance(1_000);
  expect(await (await answer).text()).toBe(STREAMS.chat);
  expect(own.events.of('fallback-taken')).toMatchObject([{ trigger: reason, answered: true }]);
});
