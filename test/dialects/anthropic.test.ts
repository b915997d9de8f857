import { describe, expect, it } from 'vitest';
import { ruleFinder } from '../../src/algorithms/error-rules.ts';
import { AnswerFacts } from '../../src/core/dialect.ts';
import type { LocalError } from '../../src/core/dialect.ts';
import type { VerdictClass } from '../../src/core/verdict.ts';
import { anthropic } from '../../src/dialects/anthropic.ts';
import * as given from '../support/answers/anthropic.ts';
import { errorBody } from '../support/answers/anthropic.ts';
import { callOf, cutAt, placesIn, readingOf } from '../support/gated-answer.ts';

const judge = (status: number, json?: unknown, headers: readonly string[] = []) =>
  anthropic.classify({ status, statusText: '', headers }, () => new Date(0), json);

const messages = callOf(anthropic, '/v1/messages', given.request);

describe('errors', () => {
  const spendLimit = errorBody('rate_limit_error', '', { error_code: 'enforced_spend_limit_reached' });
  const coded = (code: string) => errorBody('invalid_request_error', '', { error_code: code });
  const said = (text: string) => errorBody('invalid_request_error', text);

  // At least one for every row of the table, in its order.
  const rows: readonly [number, unknown, VerdictClass, (readonly string[])?][] = [
    [402, undefined, 'quota'],
    [402, errorBody('billing_error'), 'quota'],
    [403, errorBody('billing_error'), 'quota'],
    [429, spendLimit, 'quota'],
    [429, spendLimit, 'throttled', ['retry-after', '5']],
    [403, coded('contract_spend_limit_reached'), 'quota'],
    [403, coded('linked_organization_billing_unavailable'), 'quota'],
    [400, said('Your credit balance is too low to access the Anthropic API.'), 'quota'],
    [400, said('You have reached your specified API usage limits.'), 'quota'],
    [413, errorBody('request_too_large'), 'context_length'],
    [413, undefined, 'context_length'],
    [400, said('prompt is too long: 205148 tokens > 200000 maximum'), 'context_length'],
    [400, said('input length and `max_tokens` exceed context limit: 190000 + 20000'), 'context_length'],
    [400, said('Output blocked by content filtering policy'), 'content_filter'],
    [409, coded('thread_already_continued'), 'permanent'],
    [529, undefined, 'overloaded'],
    [529, errorBody('overloaded_error'), 'overloaded'],
    [503, errorBody('overloaded_error'), 'overloaded'],
    [429, errorBody('rate_limit_error'), 'throttled'],
    [429, undefined, 'throttled'],
    [409, errorBody('conflict_error'), 'transient'],
    [500, errorBody('api_error'), 'transient'],
    [504, errorBody('timeout_error'), 'transient'],
    [401, errorBody('authentication_error'), 'auth'],
    [403, errorBody('permission_error'), 'auth'],
    [400, errorBody('invalid_request_error'), 'permanent'],
    [404, errorBody('not_found_error'), 'permanent'],
    [400, 'not what it should be', 'permanent'],
  ];

  it.each(rows)('%i %j is %s', (status, json, name, headers) => {
    const { class: actual, result } = judge(status, json, headers);
    expect(actual).toBe(name);
    expect(result).toBe(status >= 500 ? 'failure' : 'neutral');
  });

  it('every row of the table decides one of these', () => {
    const find = ruleFinder(anthropic.errors);
    const used = rows.map(([status, json, , headers = []]) => find({ status, json, headers }));
    expect(anthropic.errors.filter((rule) => !used.includes(rule))).toEqual([]);
  });

  it.each([
    ['overloaded_error', 'overloaded', 'failure'],
    ['api_error', 'transient', 'failure'],
    ['rate_limit_error', 'throttled', 'neutral'],
    ['authentication_error', 'auth', 'neutral'],
    ['billing_error', 'quota', 'neutral'],
    ['invalid_request_error', 'permanent', 'neutral'],
    ['what_nobody_knows', 'transient', 'failure'],
  ])('inside an answer, %s is %s', (type, name, result) => {
    expect(judge(200, errorBody(type))).toMatchObject({ class: name, result });
  });

  it('waits as long as the headers say', () => {
    expect(judge(429, errorBody('rate_limit_error'), ['retry-after', '7']).retryAfterMs).toBe(7_000);
  });
});

describe('calls', () => {
  it.each([
    ['/v1/messages', 'messages', 'compute'],
    ['/messages', 'messages', 'compute'],
    ['/some/base/v1/messages?beta=true', 'messages', 'compute'],
    ['/v1/messages/count_tokens', 'count_tokens', 'safe'],
    ['/v1/complete', 'complete', 'compute'],
    ['/v1/messages/batches', undefined, 'unsafe'],
    ['/v1/messages/batches/b1/cancel', undefined, 'unsafe'],
    ['/v1/files', undefined, 'unsafe'],
  ])('%s is %s, and a repetition is %s', (target, operation, repeat) => {
    expect(callOf(anthropic, target, given.request)).toMatchObject({ operation, repeat });
  });

  it('reads model and stream from the body', () => {
    expect(messages).toMatchObject({ model: 'm', stream: false });
    expect(callOf(anthropic, '/v1/messages', { ...given.request, stream: true }).stream).toBe(true);
  });

  it.each([
    ['a turn of a kept conversation', { thread: { type: 'create' } }],
    ['tools that the provider calls', { mcp_servers: [{ type: 'url', url: 'https://tools.test' }] }],
  ])('%s is not repeated', (_, more) => {
    expect(callOf(anthropic, '/v1/messages', { ...given.request, ...more }).repeat).toBe('unsafe');
  });

  it('a body that is not here might say anything', () => {
    expect(callOf(anthropic, '/v1/messages').repeat).toBe('unsafe');
  });
});

describe('JSON answers', () => {
  const read = (json: unknown, target = '/v1/messages') => {
    const facts = new AnswerFacts();
    return { kind: anthropic.readJson!(json, callOf(anthropic, target), facts).kind, facts };
  };

  it('tells model, reason to stop and usage, the cache being a part of the prompt', () => {
    const { kind, facts } = read(given.message);
    expect(kind).toBe('answer');
    expect(facts).toMatchObject({
      model: 'model-1',
      finishReason: 'end_turn',
      usage: { input: 15, cached: 7, output: 2, reasoning: 0 },
    });
  });

  it.each([
    ['an error', errorBody('overloaded_error'), 'error'],
    ['an error without its type', { error: { message: 'no' } }, 'error'],
    ['nothing', {}, 'empty'],
    ['null', null, 'empty'],
    ['no content and no reason', { ...given.message, content: [], stop_reason: null }, 'empty'],
    ['nothing to say, and a reason', { ...given.message, content: [] }, 'answer'],
    ['a refusal', { ...given.message, content: [], stop_reason: 'refusal' }, 'answer'],
  ])('%s is %3$s', (_, json, kind) => {
    expect(read(json).kind).toBe(kind);
  });

  it('knows the answers of other operations', () => {
    expect(read({ input_tokens: 0 }, '/v1/messages/count_tokens').kind).toBe('answer');
    expect(read({}, '/v1/messages/count_tokens').kind).toBe('empty');
    expect(read({ completion: ' hi', stop_reason: null }, '/v1/complete').kind).toBe('answer');
    expect(read({ completion: '', stop_reason: null }, '/v1/complete').kind).toBe('empty');
    expect(read({ data: [] }, '/v1/models').kind).toBe('answer');
  });
});

describe('streams', () => {
  const toolBytes = given.bytesOf(given.TOOL_STREAM);
  const crlf = Buffer.from(toolBytes.toString().replaceAll('\n', '\r\n'));
  const whole = readingOf(anthropic, messages, [toolBytes]);

  it('the answer begins with the first thought, not with its announcement, and ends with message_stop', () => {
    expect(whole.signals.slice(0, 3)).toEqual(['pass', 'pass', 'content']);
    expect(whole.signals.at(-1)).toBe('end');
    expect(whole.signals.filter((signal) => signal === 'end')).toHaveLength(1);
    expect(whole.facts).toMatchObject({
      model: 'model-1',
      finishReason: 'tool_use',
      usage: { input: 15, cached: 7, output: 42, reasoning: 11 },
    });
  });

  it('is read the same in whatever pieces it comes', () => {
    for (const bytes of [toolBytes, crlf]) {
      for (const place of placesIn(bytes)) {
        const reading = readingOf(anthropic, messages, cutAt(bytes, place));
        expect(reading, `cut at ${place}`).toEqual(whole);
      }
      const singly = [...bytes].map((byte) => Uint8Array.of(byte));
      expect(readingOf(anthropic, messages, singly)).toEqual(whole);
    }
  });

  const signalsOf = (...events: Parameters<typeof given.bytesOf>[0]) =>
    readingOf(anthropic, messages, [given.bytesOf(events)]).signals;

  it.each([
    ['message_start', given.start],
    ['a ping', given.ping],
    ['the start of an empty text', given.textStart()],
    ['the start of an empty thought', given.blockStart(0, { type: 'thinking', thinking: '' })],
    ['an empty delta', given.word('')],
    ['the end of a block', given.blockStop()],
    ['an event of a kind that is new', given.event('surprise', { text: 'hi' })],
  ])('%s is not the answer yet', (_, event) => {
    expect(signalsOf(event)).toEqual(['pass']);
  });

  it.each([
    ['a word', given.word('a')],
    ['the start of a tool call', given.blockStart(0, { type: 'tool_use', id: 't', name: 'n', input: {} })],
    ['a hidden thought', given.blockStart(0, { type: 'redacted_thinking', data: 'eA==' })],
    ['a block that begins with text', given.blockStart(0, { type: 'text', text: 'a' })],
    ['a part of an argument', given.delta(0, { type: 'input_json_delta', partial_json: '{' })],
    ['the reason to stop', given.finish()],
  ])('%s is', (_, event) => {
    expect(signalsOf(event)).toEqual(['content']);
  });

  it('an error is one by its name or by its type, and keeps its words', () => {
    const overloaded = errorBody('overloaded_error');
    for (const event of [given.errorEvent('overloaded_error'), JSON.stringify(overloaded)]) {
      const reading = readingOf(anthropic, messages, [given.bytesOf([given.start, event])]);
      expect(reading.signals).toEqual(['pass', 'error']);
      expect(reading.error).toEqual(overloaded);
    }
    const plain = readingOf(anthropic, messages, [Buffer.from('event: error\ndata: größer\n\n')]);
    expect(plain).toMatchObject({ signals: ['error'], error: { error: { message: 'größer' } } });
  });

  it('what cannot be read is told', () => {
    expect(signalsOf({ event: 'content_block_delta', data: '{"type":"content_blo' })).toEqual(['malformed']);
  });

  it('legacy completions end with their reason', () => {
    const call = callOf(anthropic, '/v1/complete', {});
    const chunk = (completion: string, stopReason: string | null) =>
      given.event('completion', { completion, stop_reason: stopReason, model: 'old' });
    const bytes = given.bytesOf([given.ping, chunk(' hi', null), chunk('', 'stop_sequence')]);
    const { signals, facts } = readingOf(anthropic, call, [bytes]);
    expect(signals).toEqual(['pass', 'content', 'end']);
    expect(facts).toMatchObject({ model: 'old', finishReason: 'stop_sequence' });
  });

  it('nobody promised how streams of other endpoints end', () => {
    const call = callOf(anthropic, '/v1/sessions/s1/events');
    expect(readingOf(anthropic, call, [given.bytesOf([given.ping])]).hasTerminator).toBe(false);
    expect(readingOf(anthropic, call, [given.bytesOf([given.start])]).hasTerminator).toBe(true);
  });
});

describe('what the sidecar says', () => {
  const error: LocalError = {
    status: 503,
    reason: 'circuit_open',
    title: 'The circuit breaker of this upstream is open.',
    detail: 'Since noon.',
    requestId: 'id-1',
    retryAfterMs: 1_000,
    call: messages,
    sent: 'no',
  };
  const envelope = {
    type: 'error',
    error: {
      type: 'overloaded_error',
      message: 'The circuit breaker of this upstream is open. Since noon.',
      details: { error_code: 'circuit_open' },
    },
    request_id: 'id-1',
  };

  it('errors are whole envelopes', () => {
    const { headers, body } = anthropic.renderError(error);
    expect(headers).toEqual(['content-type', 'application/json']);
    expect(JSON.parse(body)).toEqual(envelope);
    expect(anthropic.renderStreamError!(error)).toBe(`event: error\ndata: ${JSON.stringify(envelope)}\n\n`);
  });

  it.each([
    [400, 'invalid_request_error'],
    [401, 'authentication_error'],
    [404, 'not_found_error'],
    [413, 'request_too_large'],
    [429, 'rate_limit_error'],
    [500, 'api_error'],
    [502, 'api_error'],
    [503, 'overloaded_error'],
    [504, 'timeout_error'],
  ])('%i is of type %s', (status, type) => {
    expect(JSON.parse(anthropic.renderError({ ...error, status }).body)).toMatchObject({ error: { type } });
  });

  it('words are no answer to a count of tokens', () => {
    expect(anthropic.renderAnswer!('hi', callOf(anthropic, '/v1/messages/count_tokens'))).toBeUndefined();
  });

  it('its own stream is one that it would take from a provider', () => {
    for (const target of ['/v1/messages', '/v1/complete']) {
      const call = callOf(anthropic, target, { model: 'm', stream: true });
      const { body } = anthropic.renderAnswer!('héllo', call)!;
      expect(readingOf(anthropic, call, [Buffer.from(body)]).signals.at(-1)).toBe('end');
      const json = anthropic.renderAnswer!('héllo', callOf(anthropic, target, { model: 'm' }))!;
      expect(anthropic.readJson!(JSON.parse(json.body), call, new AnswerFacts()).kind).toBe('answer');
    }
  });
});
