import { describe, expect, it } from 'vitest';
import { ruleFinder } from '../../src/algorithms/error-rules.ts';
import { AnswerFacts } from '../../src/core/dialect.ts';
import type { LocalError } from '../../src/core/dialect.ts';
import type { VerdictClass } from '../../src/core/verdict.ts';
import { gemini } from '../../src/dialects/gemini.ts';
import * as given from '../support/answers/gemini.ts';
import { errorBody, errorInfo, quotaFailure, retryInfo } from '../support/answers/gemini.ts';
import { callOf, cutAt, placesIn, readingOf } from '../support/gated-answer.ts';

const judge = (status: number, json?: unknown) =>
  gemini.classify({ status, statusText: '', headers: [] }, () => new Date(0), json);

const MODEL = '/v1beta/models/gemini-3-pro';
const generate = callOf(gemini, `${MODEL}:generateContent`);
const stream = callOf(gemini, `${MODEL}:streamGenerateContent?alt=sse`);
const array = callOf(gemini, `${MODEL}:streamGenerateContent`);

describe('errors', () => {
  const saying = (code: number, status: string, message: string) => errorBody(code, status, { message });
  const withDetails = (code: number, status: string, ...details: readonly object[]) =>
    errorBody(code, status, { details });
  const daily = quotaFailure(
    'GenerateRequestsPerMinutePerProjectPerModel-FreeTier',
    'GenerateRequestsPerDayPerProjectPerModel-FreeTier',
  );
  const minutely = quotaFailure('GenerateRequestsPerMinutePerProjectPerModel-FreeTier');

  // At least one for every row of the table, in its order.
  const rows: readonly [number, unknown, VerdictClass][] = [
    [402, undefined, 'quota'],
    [429, withDetails(429, 'RESOURCE_EXHAUSTED', daily, retryInfo('34s')), 'quota'],
    [403, withDetails(403, 'PERMISSION_DENIED', errorInfo('BILLING_DISABLED')), 'quota'],
    [429, saying(429, 'RESOURCE_EXHAUSTED', 'Your prepayment credits are depleted.'), 'quota'],
    [400, withDetails(400, 'INVALID_ARGUMENT', errorInfo('API_KEY_INVALID')), 'auth'],
    [401, withDetails(401, 'UNAUTHENTICATED', errorInfo('ACCESS_TOKEN_EXPIRED')), 'auth'],
    [400, saying(400, 'INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.'), 'auth'],
    [401, errorBody(401, 'UNAUTHENTICATED'), 'auth'],
    [403, errorBody(403, 'PERMISSION_DENIED'), 'auth'],
    [
      400,
      saying(400, 'INVALID_ARGUMENT', 'The input token count (2) exceeds the maximum number of tokens (1).'),
      'context_length',
    ],
    [400, errorBody(400, 'INVALID_ARGUMENT'), 'permanent'],
    [400, errorBody(400, 'FAILED_PRECONDITION'), 'permanent'],
    [404, errorBody(404, 'NOT_FOUND'), 'permanent'],
    [501, errorBody(501, 'UNIMPLEMENTED'), 'permanent'],
    [429, withDetails(429, 'RESOURCE_EXHAUSTED', errorInfo('MODEL_CAPACITY_EXHAUSTED')), 'overloaded'],
    [503, saying(503, 'UNAVAILABLE', 'The model is overloaded. Please try again later.'), 'overloaded'],
    [429, errorBody(429, 'RESOURCE_EXHAUSTED'), 'throttled'],
    [429, withDetails(429, 'RESOURCE_EXHAUSTED', minutely), 'throttled'],
    [429, undefined, 'throttled'],
    [503, errorBody(503, 'UNAVAILABLE'), 'transient'],
    [504, errorBody(504, 'DEADLINE_EXCEEDED'), 'transient'],
    [500, errorBody(500, 'INTERNAL'), 'transient'],
    [409, errorBody(409, 'ABORTED'), 'transient'],
    [400, 'not what it should be', 'permanent'],
  ];

  it.each(rows)('%i %j is %s', (status, json, name) => {
    expect(judge(status, json)).toMatchObject({ class: name });
    expect(judge(status, json).result).toBe(expectedResult(status, name));
  });

  const expectedResult = (status: number, name: VerdictClass) =>
    status >= 500 && name !== 'permanent' ? 'failure' : 'neutral';

  it('every row of the table decides one of these', () => {
    const find = ruleFinder(gemini.errors);
    const used = rows.map(([status, json]) => find({ status, json, headers: [] }));
    expect(gemini.errors.filter((rule) => !used.includes(rule))).toEqual([]);
  });

  it.each([
    [errorBody(503, 'UNAVAILABLE'), 'transient', 'failure'],
    [errorBody(429, 'RESOURCE_EXHAUSTED'), 'throttled', 'neutral'],
    [{ error: { status: 'PERMISSION_DENIED' } }, 'auth', 'neutral'],
    [{ error: { status: 'CANCELLED' } }, 'permanent', 'neutral'],
    [{ error: { message: 'what nobody knows' } }, 'transient', 'failure'],
  ])('inside an answer, %j is %s', (json, name, result) => {
    expect(judge(200, json)).toMatchObject({ class: name, result });
  });

  it('is found in an array, too, where one was asked for', () => {
    expect(judge(429, [withDetails(429, 'RESOURCE_EXHAUSTED', daily)]).class).toBe('quota');
  });

  it.each([
    ['34s', 34_000],
    ['1.5s', 1_500],
    ['34.074824224s', 34_075],
    ['0s', 0],
    ['31622400s', 31_622_400_000],
    ['31622401s', undefined],
    ['34', undefined],
    ['1m', undefined],
    ['-1s', undefined],
  ])('a delay of %s in the body is %s ms', (text, ms) => {
    const json = withDetails(429, 'RESOURCE_EXHAUSTED', minutely, retryInfo(text));
    expect(judge(429, json).retryAfterMs).toBe(ms);
  });
});

describe('calls', () => {
  const vertex = '/v1/projects/p/locations/l/publishers/google/models/gemini-3-pro';

  it.each([
    [`${MODEL}:generateContent`, 'generateContent', 'compute'],
    ['/v1/models/gemini-3-pro:generateContent?key=secret', 'generateContent', 'compute'],
    [`${vertex}:streamGenerateContent?alt=sse`, 'streamGenerateContent', 'compute'],
    [`${MODEL}%3AcountTokens`, 'countTokens', 'safe'],
    [`${MODEL}:embedContent`, 'embedContent', 'compute'],
    [`${MODEL}:batchEmbedContents`, 'batchEmbedContents', 'compute'],
    [`${vertex}:predict`, 'predict', 'compute'],
  ])('%s is %s, and a repetition is %s', (target, operation, repeat) => {
    expect(callOf(gemini, target)).toMatchObject({ operation, repeat, model: 'gemini-3-pro' });
  });

  it.each([`${MODEL}:batchGenerateContent`, `${vertex}:predictLongRunning`, '/v1beta/files', '/'])(
    '%s is nothing that may be repeated',
    (target) => {
      expect(callOf(gemini, target)).toMatchObject({
        operation: undefined,
        model: undefined,
        repeat: 'unsafe',
      });
    },
  );

  it('is a stream of events with alt=sse only', () => {
    expect([generate.stream, stream.stream, array.stream]).toEqual([false, true, false]);
  });

  it('an array that comes bit by bit is a stream all the same, and is not held', () => {
    const json = { status: 200, statusText: '', headers: ['content-type', 'application/json'] };
    expect([generate, stream, array].map((call) => gemini.isStream(json, call))).toEqual([
      false,
      false,
      true,
    ]);
    expect(gemini.isStream({ ...json, status: 429 }, array)).toBe(false);
  });
});

describe('JSON answers', () => {
  const read = (json: unknown, call = generate) => {
    const facts = new AnswerFacts();
    return { kind: gemini.readJson!(json, call, facts).kind, facts };
  };

  it('tells model, reason to stop and usage, thoughts being a part of the output', () => {
    const { kind, facts } = read(given.answer);
    expect(kind).toBe('answer');
    expect(facts).toMatchObject({
      model: 'model-1',
      finishReason: 'STOP',
      usage: { input: 10, cached: 4, output: 9, reasoning: 3 },
    });
  });

  const ending = (finishReason: string, parts?: object[]) =>
    given.chunk({ finishReason, ...(parts && { parts }) });

  it.each([
    ['an error', errorBody(503, 'UNAVAILABLE'), 'error'],
    ['nothing', {}, 'empty'],
    ['no candidates', { candidates: [], usageMetadata: given.USAGE }, 'empty'],
    ['an end with nothing said', ending('STOP'), 'empty'],
    ['an end with empty words', ending('STOP', [{ text: '' }]), 'empty'],
    ['an end with only a signature', ending('STOP', [{ text: '', thoughtSignature: 'eA==' }]), 'empty'],
    ['an end after thoughts', ending('STOP', [{ text: 'hm', thought: true }]), 'answer'],
    ['a call', ending('STOP', [{ functionCall: { name: 'f', args: {} } }]), 'answer'],
    ['a limit reached before a word', ending('MAX_TOKENS'), 'answer'],
    ['a refusal', ending('SAFETY'), 'answer'],
    ['a blocked prompt', { promptFeedback: { blockReason: 'SAFETY' } }, 'answer'],
  ])('%s is %3$s', (_, json, kind) => {
    expect(read(json).kind).toBe(kind);
  });

  it.each([
    ['countTokens', { totalTokens: 0 }, {}],
    ['embedContent', { embedding: { values: [1] } }, {}],
    ['batchEmbedContents', { embeddings: [{ values: [1] }] }, { embeddings: [] }],
    ['predict', { predictions: [1] }, { predictions: [] }],
  ])('knows the answers of %s', (operation, full, empty) => {
    const call = callOf(gemini, `${MODEL}:${operation}`);
    expect([read(full, call).kind, read(empty, call).kind]).toEqual(['answer', 'empty']);
  });
});

describe('streams', () => {
  const toolBytes = given.bytesOf(given.TOOL_STREAM);
  const crlf = Buffer.from(toolBytes.toString().replaceAll('\n', '\r\n'));
  const whole = readingOf(gemini, stream, [toolBytes]);

  it('the answer begins with the first thought, ends with its reason to stop, and may be counted after that', () => {
    expect(whole.signals).toEqual(['content', 'pass', 'pass', 'end', 'end']);
    expect(whole.facts).toMatchObject({
      model: 'model-1',
      finishReason: 'STOP',
      usage: { input: 10, cached: 4, output: 11, reasoning: 3 },
    });
  });

  it('is read the same in whatever pieces it comes', () => {
    for (const bytes of [toolBytes, crlf]) {
      for (const place of placesIn(bytes)) {
        const reading = readingOf(gemini, stream, cutAt(bytes, place));
        expect(reading, `cut at ${place}`).toEqual(whole);
      }
      const singly = [...bytes].map((byte) => Uint8Array.of(byte));
      expect(readingOf(gemini, stream, singly)).toEqual(whole);
    }
  });

  const readingOfChunks = (...chunks: readonly object[]) =>
    readingOf(gemini, stream, [given.bytesOf(chunks)]);

  it.each([
    ['an empty text', given.word('')],
    ['counts', { usageMetadata: given.USAGE }],
    ['a signature', given.chunk({ parts: [{ thoughtSignature: 'eA==' }] })],
  ])('%s is not the answer yet', (_, chunk) => {
    expect(readingOfChunks(chunk).signals).toEqual(['pass']);
  });

  it('an end with nothing said has no reason, so that it counts as empty', () => {
    const { signals, facts } = readingOfChunks(given.finish());
    expect(signals).toEqual(['end']);
    expect(facts.finishReason).toBeUndefined();
  });

  it.each(['MAX_TOKENS', 'SAFETY'])('an end with nothing said for %s is an answer', (reason) => {
    expect(readingOfChunks(given.finish(reason)).facts.finishReason).toBe(reason);
  });

  it('a blocked prompt is an answer', () => {
    const { signals, facts } = readingOfChunks({ promptFeedback: { blockReason: 'SAFETY' } });
    expect(signals).toEqual(['end']);
    expect(facts.finishReason).toBe('SAFETY');
  });

  it('has ended when all of its candidates have', () => {
    const part = (index: number, finishReason?: string) =>
      given.chunk({ parts: [{ text: 'a' }], index, ...(finishReason && { finishReason }) });
    const { signals } = readingOfChunks(part(0), part(1), part(0, 'STOP'), part(1), part(1, 'STOP'));
    expect(signals).toEqual(['content', 'content', 'content', 'content', 'end']);
    const late = readingOfChunks(part(0), part(0, 'STOP'), part(1), part(1, 'STOP'));
    expect(late.signals).toEqual(['content', 'end', 'content', 'end']);
  });

  it('what goes on after a reason to stop had not ended', () => {
    const { signals } = readingOfChunks(
      given.chunk({ parts: [{ text: 'a' }], finishReason: 'STOP' }),
      given.word('b'),
      given.finish(),
    );
    expect(signals).toEqual(['end', 'content', 'end']);
  });

  it('an error keeps its words', () => {
    const error = errorBody(503, 'UNAVAILABLE');
    expect(readingOfChunks(given.word('a'), error)).toMatchObject({ signals: ['content', 'error'], error });
  });

  it('what cannot be read is told', () => {
    expect(readingOf(gemini, stream, [Buffer.from('data: {"candidates": [{\n\n')]).signals).toEqual([
      'malformed',
    ]);
  });
});

describe('what the sidecar says', () => {
  const error: LocalError = {
    status: 503,
    reason: 'circuit_open',
    title: 'The circuit breaker of this upstream is open.',
    detail: undefined,
    requestId: 'id-1',
    retryAfterMs: 1_200,
    call: generate,
    sent: 'no',
  };
  const envelope = {
    error: {
      code: 503,
      status: 'UNAVAILABLE',
      message: 'The circuit breaker of this upstream is open.',
      details: [
        {
          '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
          reason: 'CIRCUIT_OPEN',
          domain: 'outrigger',
          metadata: { code: 'circuit_open', requestId: 'id-1' },
        },
        { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '1.2s' },
      ],
    },
  };

  it('errors are whole envelopes, in streams without a name', () => {
    const { headers, body } = gemini.renderError(error);
    expect(headers).toEqual(['content-type', 'application/json']);
    expect(JSON.parse(body)).toEqual(envelope);
    expect(gemini.renderStreamError!(error)).toBe(`data: ${JSON.stringify(envelope)}\n\n`);
  });

  it.each([
    [400, 'INVALID_ARGUMENT'],
    [404, 'NOT_FOUND'],
    [413, 'INVALID_ARGUMENT'],
    [429, 'RESOURCE_EXHAUSTED'],
    [500, 'INTERNAL'],
    [502, 'UNAVAILABLE'],
    [504, 'DEADLINE_EXCEEDED'],
  ])('%i is %s', (status, name) => {
    const body = JSON.parse(gemini.renderError({ ...error, status }).body) as object;
    expect(body).toMatchObject({ error: { code: status, status: name } });
  });

  it('its own answers are such as it would take from a provider, in all three forms', () => {
    const json = JSON.parse(gemini.renderAnswer!('héllo', generate)!.body) as unknown;
    expect(gemini.readJson!(json, generate, new AnswerFacts()).kind).toBe('answer');
    expect(JSON.parse(gemini.renderAnswer!('héllo', array)!.body)).toEqual([json]);
    const { body } = gemini.renderAnswer!('héllo', stream)!;
    expect(readingOf(gemini, stream, [Buffer.from(body)]).signals).toEqual(['end']);
  });

  it('words are no answer to a call for vectors', () => {
    expect(gemini.renderAnswer!('hi', callOf(gemini, `${MODEL}:embedContent`))).toBeUndefined();
  });
});
