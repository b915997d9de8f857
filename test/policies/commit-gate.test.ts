import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/core/exchange.ts';
import { headerValues } from '../../src/core/header-list.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { openai } from '../../src/dialects/openai.ts';
import { generic } from '../../src/dialects/generic.ts';
import { commitGate } from '../../src/policies/commit-gate.ts';
import { settle } from '../support/fake-clock.ts';
import { CHAT_JSON, STREAMS, chatChunk } from '../support/openai-fixtures.ts';
import {
  CollectingSink,
  attemptAt,
  bytesBody,
  exchangeAt,
  fail,
  kit,
  refuse,
  respond,
} from '../support/policy-kit.ts';
import { eventText } from '../support/steps/event-stream.ts';
import { Source } from '../streams/watch-rig.ts';
import { policyContract } from './contract.ts';

policyContract({
  module: commitGate,
  options: {},
  scope: (clock) => chatAttempt(clock, { target: '/v1/files', method: 'GET' }),
  readsAnswers: true,
});

const STREAM = ['content-type', 'text/event-stream; charset=utf-8'];
const JSON_TYPE = ['content-type', 'application/json'];

function chatAttempt(
  clock: { now: () => number },
  { target = '/v1/chat/completions', method = 'POST', body = '{"stream":true}' } = {},
): Attempt {
  const exchange = exchangeAt(clock, {
    upstream: { dialect: openai },
    request: { method, target, headers: ['accept-encoding', 'gzip, br', 'x-a', '1'] },
    body: bytesBody(Buffer.from(body)),
  });
  return attemptAt(clock, exchange);
}

interface Parts {
  readonly options?: object;
  readonly headers?: readonly string[];
  readonly status?: number;
  readonly call?: Parameters<typeof chatAttempt>[1];
}

function start({ options = {}, headers = STREAM, status = 200, call }: Parts = {}) {
  const { clock, events, deps } = kit();
  const policy = commitGate.build(commitGate.schema.parse(options), deps, undefined);
  const attempt = chatAttempt(clock, call);
  attempt.phase = 'receiving';
  const source = new Source();
  // As the transport does: whoever gives up an attempt ends its body.
  attempt.cancellation.onCancel((reason) =>
    source.sink?.abort({ end: 'discarded', reason: 'superseded', bytes: reason.length }),
  );
  let outcome: Outcome | undefined;
  const answer = respond(status, { headers, body: source });
  void policy.run(attempt, async () => answer, attempt.cancellation).then((settled) => (outcome = settled));
  return { clock, events, attempt, source, answer, outcome: () => outcome };
}

function take(outcome: Outcome | undefined): CollectingSink {
  if (outcome?.kind !== 'response') throw new Error(`expected a response, got ${outcome?.kind}`);
  const sink = new CollectingSink();
  outcome.body.pipe(sink);
  return sink;
}

const ROLE = eventText(chatChunk({ role: 'assistant', content: '' }));
const WORD = eventText(chatChunk({ content: 'Hi' }));
const DONE = eventText('[DONE]');

describe('commit-gate', () => {
  it('asks for answers that it can add to: without a content coding', async () => {
    const run = start();
    await settle();
    expect(headerValues(run.attempt.headers, 'accept-encoding')).toEqual(['identity']);
    expect(headerValues(run.attempt.headers, 'x-a')).toEqual(['1']);
    expect(headerValues(run.attempt.exchange.request.headers, 'accept-encoding')).toEqual(['gzip, br']);
  });

  it.each([
    ['a failure', fail('connection_reset')],
    ['a refusal', refuse('circuit_open')],
  ])('passes %s on', async (_, outcome) => {
    const { clock, deps } = kit();
    const policy = commitGate.build(commitGate.schema.parse({}), deps, undefined);
    const attempt = chatAttempt(clock);
    expect(await policy.run(attempt, async () => outcome, attempt.cancellation)).toBe(outcome);
  });

  it('leaves alone the answers of protocols that nobody can read', () => {
    expect(commitGate.suits?.(generic)).toBe(false);
    expect(commitGate.suits?.(openai)).toBe(true);
  });

  it.each<[string, Parts]>([
    ['HEAD', { call: { method: 'HEAD' } }],
    ['no content', { status: 204, headers: JSON_TYPE }],
    ['a redirection', { status: 307, headers: JSON_TYPE }],
    ['JSON that answers no known call', { headers: JSON_TYPE, call: { target: '/v1/files' } }],
    ['anything that answers no known call', { headers: [], call: { target: '/v1/files' } }],
    ['a page with an error status', { status: 502, headers: ['content-type', 'text/html'] }],
  ])('leaves %s alone', async (_, parts) => {
    const run = start(parts);
    await settle();
    expect(run.outcome()).toBe(run.answer);
  });
});

describe('commit-gate: streams', () => {
  it('holds a preamble back, and commits at the first word, with every byte and no more delay', async () => {
    const run = start();
    await settle();
    run.source.write(': OPENROUTER PROCESSING\n\n', ROLE);
    await run.clock.advance(30_000);
    expect(run.outcome()).toBeUndefined();
    run.source.write(WORD);
    await settle();
    const sink = take(run.outcome());
    expect(sink.text).toBe(`: OPENROUTER PROCESSING\n\n${ROLE}${WORD}`);
    run.source.write(DONE);
    run.source.end();
    expect([sink.text.endsWith(DONE), sink.ended]).toEqual([true, true]);
    expect(run.attempt.answer).toMatchObject({ model: 'gpt-test-2026', firstTokenAt: 31_000, events: 3 });
    expect(run.events.of('answer-read')).toEqual([{ attempt: run.attempt, upstream: 'main' }]);
    expect(run.clock.pendingTimers).toBe(0);
  });

  it.each<[string, (source: Source) => void, object]>([
    [
      'an error',
      (source) => source.write(ROLE, eventText('{"error":{"message":"busy","code":"rate_limit_exceeded"}}')),
      { reason: 'upstream_error', detail: 'busy', json: { error: { code: 'rate_limit_exceeded' } } },
    ],
    [
      'an end without a word',
      (source) => {
        source.write(ROLE, DONE);
        source.end();
      },
      { reason: 'empty_answer' },
    ],
    [
      'a clean end too early',
      (source) => (source.write(ROLE), source.end()),
      { reason: 'response_incomplete' },
    ],
    ['a cut', (source) => (source.write(ROLE), source.cut()), { reason: 'response_incomplete' }],
    ['nonsense', (source) => (source.write('data: {\n\n'), source.end()), { reason: 'malformed_answer' }],
    [
      'a timeout',
      (source) => source.cut('timed-out', 'first_token_timeout'),
      { reason: 'first_token_timeout' },
    ],
  ])('makes a failure of %s before the first word', async (_, end, expected) => {
    const run = start();
    await settle();
    end(run.source);
    await settle();
    expect(run.outcome()).toMatchObject({
      kind: 'failure',
      requestSent: 'maybe',
      staleConnection: false,
      attempt: 1,
      head: { status: 200 },
      ...expected,
    });
    expect(run.events.of('answer-read')).toHaveLength(1);
    expect(run.clock.pendingTimers).toBe(0);
  });

  it('gives the upstream up when what it sends is no answer, although it goes on', async () => {
    const run = start();
    await settle();
    run.source.write(eventText('{"error":{"message":"m"}}'));
    expect(run.attempt.cancellation.reason).toBe('superseded');
  });

  it('after the first word, ends what breaks off with an error that clients raise', async () => {
    const run = start();
    await settle();
    run.source.write(ROLE, WORD);
    await settle();
    const sink = take(run.outcome());
    run.source.cut();
    expect(sink.text.slice((ROLE + WORD).length)).toMatch(
      /^event: error\ndata: \{"error":\{.*"code":"response_incomplete"\}\}\n\n$/,
    );
    expect(sink.ended).toBe(true);
  });

  it('breaks the connection where the length of the stream was announced', async () => {
    const run = start({ headers: [...STREAM, 'content-length', '5000'] });
    await settle();
    run.source.write(ROLE, WORD);
    await settle();
    const sink = take(run.outcome());
    run.source.cut();
    expect([sink.text, sink.ended]).toEqual([ROLE + WORD, false]);
    expect(sink.aborted).toMatchObject({ reason: 'response_incomplete' });
  });

  it('passes on what was held long enough, or what is too much to hold', async () => {
    const slow = start({ options: { holdFor: '10s' } });
    await settle();
    slow.source.write(ROLE);
    await slow.clock.advance(9_999);
    expect(slow.outcome()).toBeUndefined();
    await slow.clock.advance(1);
    expect(take(slow.outcome()).text).toBe(ROLE);
    const much = start({ options: { holdStream: '100B' } });
    await settle();
    much.source.write(ROLE);
    await settle();
    expect(much.outcome()).toMatchObject({ kind: 'response' });
  });

  it('passes on at once what is in a coding that nobody knows, and no timer waits for its words', async () => {
    const run = start({ headers: [...STREAM, 'content-encoding', 'compress'] });
    await settle();
    expect(run.outcome()).toMatchObject({ kind: 'response' });
    expect(run.attempt.answer).toBeUndefined();
    const sink = take(run.outcome());
    run.source.write('??');
    run.source.end();
    expect([sink.text, sink.ended]).toEqual(['??', true]);
  });

  it('sends comments into a silence where it was told to, but not where the length was announced', async () => {
    const run = start({ options: { keepAlive: '15s' } });
    await settle();
    run.source.write(WORD);
    await settle();
    const sink = take(run.outcome());
    await run.clock.advance(15_000);
    expect(sink.text).toBe(`${WORD}: keep-alive\n\n`);
    run.source.end();
    const fixed = start({ options: { keepAlive: '15s' }, headers: [...STREAM, 'content-length', '500'] });
    await settle();
    fixed.source.write(WORD);
    await settle();
    expect(fixed.clock.pendingTimers).toBe(0);
  });

  it('gives the upstream up when its answer is thrown away', async () => {
    const run = start();
    await settle();
    run.source.write(WORD);
    await settle();
    const outcome = run.outcome();
    if (outcome?.kind === 'response') outcome.body.discard();
    expect(run.attempt.cancellation.reason).toBe('superseded');
    expect(run.clock.pendingTimers).toBe(0);
  });

  it('reads every fixture', async () => {
    for (const text of [STREAMS.chat, STREAMS['chat with tool calls'], STREAMS.responses]) {
      const run = start();
      await settle();
      run.source.write(text);
      run.source.end();
      await settle();
      expect(take(run.outcome())).toMatchObject({ text, ended: true });
    }
  });
});

describe('commit-gate: JSON', () => {
  const WHOLE = JSON.stringify(CHAT_JSON);
  const jsonRun = async (text: string, parts: Parts = {}) => {
    const run = start({ headers: JSON_TYPE, ...parts });
    await settle();
    if (text !== '') run.source.write(text);
    run.source.end();
    await settle();
    return run;
  };

  it('holds an answer until it is whole', async () => {
    const run = start({ headers: JSON_TYPE });
    await settle();
    run.source.write(WHOLE);
    await settle();
    expect(run.outcome()).toBeUndefined();
    run.source.end();
    await settle();
    expect(run.outcome()).toMatchObject({ kind: 'response', json: { id: 'chatcmpl-1' } });
    expect(take(run.outcome())).toMatchObject({ text: WHOLE, ended: true });
    expect(run.attempt.answer).toMatchObject({ finishReason: 'stop', usage: { input: 20 } });
    expect(run.attempt.answer?.firstTokenAt).toBeDefined();
  });

  it.each([
    ['{"error":{"message":"no credit","code":402}}', { reason: 'upstream_error', detail: 'no credit' }],
    ['{"choices":[]}', { reason: 'empty_answer' }],
    ['', { reason: 'empty_answer' }],
    ['<html>', { reason: 'malformed_answer' }],
    ['{"choices":[{}', { reason: 'malformed_answer' }],
  ])('makes a failure of %j', async (text, expected) => {
    expect((await jsonRun(text)).outcome()).toMatchObject({ kind: 'failure', ...expected });
  });

  it('makes a failure of nothing, whatever type it has', async () => {
    for (const headers of [[], ['content-type', 'audio/mpeg']])
      expect((await jsonRun('', { headers })).outcome()).toMatchObject({ reason: 'empty_answer' });
    const sound = await jsonRun('RIFF', { headers: ['content-type', 'audio/mpeg'] });
    expect(take(sound.outcome()).text).toBe('RIFF');
  });

  it('reads what an error status says, for those who judge it, and passes it on', async () => {
    const run = await jsonRun('{"error":{"code":"insufficient_quota"}}', { status: 429 });
    expect(run.outcome()).toMatchObject({
      kind: 'response',
      json: { error: { code: 'insufficient_quota' } },
    });
    const page = await jsonRun('<html>', { status: 502 });
    expect(page.outcome()).toMatchObject({ kind: 'response', head: { status: 502 } });
  });

  it('passes on unread what is larger than it may hold', async () => {
    const run = start({ headers: JSON_TYPE, options: { holdJson: '10B' } });
    await settle();
    run.source.write('{"choices":[]}');
    await settle();
    expect(run.outcome()).toMatchObject({ kind: 'response' });
  });

  it('a cut answer is a failure', async () => {
    const run = start({ headers: JSON_TYPE });
    await settle();
    run.source.write(WHOLE);
    run.source.cut();
    await settle();
    expect(run.outcome()).toMatchObject({ kind: 'failure', reason: 'response_incomplete' });
  });
});

it('shows its bounds in bytes and milliseconds', () => {
  const { deps } = kit();
  const policy = commitGate.build(commitGate.schema.parse({ keepAlive: '15s' }), deps, undefined);
  expect(policy.snapshot()).toEqual({
    holdStreamBytes: 65_536,
    holdJsonBytes: 1_048_576,
    holdForMs: 60_000,
    keepAliveMs: 15_000,
  });
  policy.dispose();
});
