/** The fault matrix of the Gemini dialect through Google's SDK. */
import { ApiError } from '@google/genai';
import { describe, expect, it } from 'vitest';
import * as given from '../support/answers/gemini.ts';
import { errorBody, errorInfo, quotaFailure, retryInfo } from '../support/answers/gemini.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { cutMidBody, closeMidHead } from '../support/steps/cuts.ts';
import { sse } from '../support/steps/event-stream.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { underFault } from './fault-rig.ts';
import type { FaultyCall } from './fault-rig.ts';
import { geminiAt } from './fixture.ts';

type Form = 'JSON' | 'stream';

const request = { model: 'gemini-3-pro', contents: 'hello there' };

const words: string[] = [];

/** The words of the answer; `words` has them as far as they came. */
const ask: Readonly<Record<Form, (base: string) => Promise<string>>> = {
  JSON: async (base) => (await geminiAt(base).models.generateContent(request)).text ?? '',
  stream: async (base) => {
    words.length = 0;
    const stream = await geminiAt(base).models.generateContentStream(request);
    for await (const { text } of stream) if (text) words.push(text);
    return words.join('');
  },
};

const events = (chunks: readonly object[]): string[] => chunks.map((chunk) => JSON.stringify(chunk));

const good: Readonly<Record<Form, RequestStep>> = {
  JSON: respondJson(given.answer),
  stream: sse({ events: events(given.streamOf('héllo', ' 🙂')) }),
};

const under = <T>(faulty: Omit<FaultyCall<T>, 'dialect'>) => underFault<T>({ dialect: 'gemini', ...faulty });

const JSON_HEAD = { headers: { 'content-type': 'application/json' } };
const SSE_HEAD = { headers: { 'content-type': 'text/event-stream' } };
const refused = (code: number, status: string, ...details: object[]): Record<Form, RequestStep> => {
  const step = respondJson(errorBody(code, status, { details }), { status: code });
  return { JSON: step, stream: step };
};
const inside = (code: number, status: string): Record<Form, RequestStep> => ({
  JSON: respondJson(errorBody(code, status)),
  stream: sse({ events: events([errorBody(code, status)]) }),
});
const SHORT = 'attemptTimeout: { firstByte: 250ms, firstToken: 250ms, idle: 300ms }';

interface Fault {
  readonly name: string;
  readonly steps: Readonly<Record<Form, RequestStep>>;
  /** Class of the attempt that met it. */
  readonly as: string;
  /** What the caller sees when it stays: status, google.rpc name, and a word of the rest. */
  readonly seen: readonly [number, string, RegExp];
  readonly policies?: string;
}

/** What a second attempt can mend. */
const MENDABLE: readonly Fault[] = [
  {
    name: 'a status of 500',
    steps: refused(500, 'INTERNAL'),
    as: 'transient',
    seen: [500, 'INTERNAL', /as it was written/],
  },
  {
    name: 'overload',
    steps: refused(429, 'RESOURCE_EXHAUSTED', errorInfo('MODEL_CAPACITY_EXHAUSTED')),
    as: 'overloaded',
    seen: [429, 'RESOURCE_EXHAUSTED', /MODEL_CAPACITY_EXHAUSTED/],
  },
  {
    name: 'too many requests',
    steps: refused(429, 'RESOURCE_EXHAUSTED', retryInfo('0.01s')),
    as: 'throttled',
    seen: [429, 'RESOURCE_EXHAUSTED', /as it was written/],
  },
  {
    name: 'an error inside a 200',
    steps: inside(503, 'UNAVAILABLE'),
    as: 'transient',
    seen: [502, 'UNAVAILABLE', /as it was written.*upstream_error/],
  },
  {
    name: 'a 200 with nothing',
    steps: { JSON: respond(JSON_HEAD), stream: respond(SSE_HEAD) },
    as: 'transient',
    seen: [502, 'UNAVAILABLE', /nothing in it.*empty_answer/],
  },
  {
    name: 'an end with nothing said',
    steps: {
      JSON: respondJson(given.finish()),
      stream: sse({ events: events([given.word(''), given.finish()]) }),
    },
    as: 'transient',
    seen: [502, 'UNAVAILABLE', /nothing in it.*empty_answer/],
  },
  {
    name: 'a cut before the first word',
    steps: {
      JSON: cutMidBody({ sent: '{"candidates":[', contentType: 'application/json' }),
      stream: sse({ events: events([given.word('')]), end: 'cut' }),
    },
    as: 'transient',
    seen: [502, 'UNAVAILABLE', /before it was complete.*response_incomplete/],
  },
  {
    name: 'a clean end before the first word, or in the middle of JSON',
    steps: {
      JSON: respond({ ...JSON_HEAD, body: '{"candidates":[' }),
      stream: sse({ events: events([given.word('')]) }),
    },
    as: 'transient',
    seen: [502, 'UNAVAILABLE', /response_incomplete|malformed_answer/],
  },
  {
    name: 'something malformed',
    steps: {
      JSON: respond({ ...JSON_HEAD, body: '<html>' }),
      stream: sse({ events: ['{"candidates":[{"content"'] }),
    },
    as: 'transient',
    seen: [502, 'UNAVAILABLE', /cannot be read.*malformed_answer/],
  },
  {
    name: 'a connection that breaks within the head',
    steps: { JSON: closeMidHead(), stream: closeMidHead() },
    as: 'transient',
    seen: [502, 'UNAVAILABLE', /before it was complete/],
  },
  {
    name: 'silence',
    steps: { JSON: stall(), stream: stall() },
    as: 'transient',
    seen: [504, 'DEADLINE_EXCEEDED', /first_byte_timeout/],
    policies: SHORT,
  },
  {
    name: 'a slow first word, or silence in the middle of JSON',
    steps: {
      JSON: stallAfterHead(JSON_HEAD, ['{"candidates":']),
      stream: stallAfterHead(SSE_HEAD, [given.textOfChunks([given.word('')])]),
    },
    as: 'transient',
    seen: [504, 'DEADLINE_EXCEEDED', /first_token_timeout|idle_timeout/],
    policies: SHORT,
  },
];

/** What no second attempt mends. */
const FINAL: readonly Fault[] = [
  {
    name: 'no credit',
    steps: refused(402, 'FAILED_PRECONDITION'),
    as: 'quota',
    seen: [402, 'FAILED_PRECONDITION', /as it was written/],
  },
  {
    name: "a day's quota, whatever delay is named",
    steps: refused(
      429,
      'RESOURCE_EXHAUSTED',
      quotaFailure('GenerateRequestsPerDayPerProjectPerModel'),
      retryInfo('0.01s'),
    ),
    as: 'quota',
    seen: [429, 'RESOURCE_EXHAUSTED', /PerDay/],
  },
  {
    name: 'a wrong key',
    steps: refused(400, 'INVALID_ARGUMENT', errorInfo('API_KEY_INVALID')),
    as: 'auth',
    seen: [400, 'INVALID_ARGUMENT', /API_KEY_INVALID/],
  },
  {
    name: 'a long delay, which the caller is told at once',
    steps: refused(429, 'RESOURCE_EXHAUSTED', retryInfo('3600s')),
    as: 'throttled',
    seen: [429, 'RESOURCE_EXHAUSTED', /3600s/],
  },
  {
    name: 'a missing permission, said inside a 200',
    steps: inside(403, 'PERMISSION_DENIED'),
    as: 'auth',
    seen: [401, 'UNAUTHENTICATED', /as it was written.*upstream_error/],
  },
];

function expectSeen(raised: Error | undefined, [status, name, text]: Fault['seen']): void {
  expect(raised).toBeInstanceOf(ApiError);
  expect(raised).toMatchObject({ status });
  // The SDK's message is the body.
  expect(raised?.message).toContain(`"status":"${name}"`);
  expect(raised?.message).toMatch(text);
}

describe.each(['JSON', 'stream'] as const)('%s', (form) => {
  it.each(MENDABLE)('$name is mended by another attempt, unseen', async ({ steps, as, policies = '' }) => {
    const report = await under({ steps: [steps[form], good[form]], policies, call: ask[form] });
    expect(report.raised).toBeUndefined();
    expect(report).toMatchObject({
      value: 'héllo 🙂',
      requests: 2,
      attempts: { [as]: 1, ok: 1 },
      reason: undefined,
    });
  });

  it.each(MENDABLE)('$name that stays is raised in full', async ({ steps, as, seen, policies = '' }) => {
    const report = await under({ steps: [steps[form]], policies, call: ask[form] });
    expectSeen(report.raised, seen);
    expect(report).toMatchObject({ requests: 2, attempts: { [as]: 2 }, broken: 0 });
  });

  it.each(FINAL)('$name is raised at once', async ({ steps, as, seen }) => {
    const report = await under({ steps: [steps[form]], call: ask[form] });
    expectSeen(report.raised, seen);
    expect(report).toMatchObject({ requests: 1, attempts: { [as]: 1 }, broken: 0 });
  });
});

const begun = [given.word('hé')];

describe('once the first word is out', () => {
  it.each([
    ['a cut', sse({ events: events(begun), end: 'cut' }), 502, 'response_incomplete'],
    ['a clean end', sse({ events: events(begun) }), 502, 'response_incomplete'],
    ['silence', stallAfterHead(SSE_HEAD, [given.textOfChunks(begun)]), 504, 'idle_timeout'],
  ])('%s ends the stream with an error, and nothing is asked twice', async (_, step, status, code) => {
    const policies = code === 'idle_timeout' ? SHORT : '';
    const report = await under({ steps: [step], policies, call: ask.stream });
    expect(words).toEqual(['hé']);
    expect(report.raised).toBeInstanceOf(ApiError);
    expect(report.raised).toMatchObject({ status });
    expect(report.raised?.message).toContain(`"code":"${code}"`);
    expect(report).toMatchObject({ requests: 1, reason: code, broken: 1 });
  });

  it('what goes on after a reason to stop had not ended', async () => {
    const chunks = [given.chunk({ parts: [{ text: 'hé' }], finishReason: 'STOP' }), given.word('llo')];
    const report = await under({ steps: [sse({ events: events(chunks), end: 'cut' })], call: ask.stream });
    expect(words).toEqual(['hé', 'llo']);
    expect(report.raised).toMatchObject({ status: 502 });
  });

  it("the provider's own error passes as it is, and counts as one", async () => {
    const chunks = [...begun, errorBody(503, 'UNAVAILABLE')];
    const report = await under({ steps: [sse({ events: events(chunks) })], call: ask.stream });
    expectSeen(report.raised, [503, 'UNAVAILABLE', /as it was written/]);
    expect(report).toMatchObject({ requests: 1, reason: 'upstream_error', broken: 1 });
  });

  it('an event that cannot be read passes, and the SDK says so', async () => {
    const step = sse({ events: [...events(begun), '{"candidates":[', ...events([given.finish()])] });
    const report = await under({ steps: [step], call: ask.stream });
    expect(report.raised?.message).toMatch(/JSON/);
    expect(report.requests).toBe(1);
  });

  it.each(['clean', 'cut'] as const)('a %s end after the reason to stop is one', async (end) => {
    const chunks = events(given.streamOf('hé'));
    const report = await under({ steps: [sse({ events: chunks, end })], call: ask.stream });
    expect(report).toMatchObject({ value: 'hé', requests: 1, reason: undefined, broken: 0 });
  });
});

describe('an answer that comes as one JSON array', () => {
  const target = '/v1beta/models/m:streamGenerateContent';
  const readerOf = async (port: number): Promise<ReadableStreamDefaultReader<Uint8Array>> => {
    const response = await fetch(`http://127.0.0.1:${port}/model${target}`, { method: 'POST', body: '{}' });
    return response.body!.getReader();
  };
  const yamlOf = (origin: string): string => `
upstreams:
  model: { route: /model, dialect: gemini, endpoints: [{ url: "${origin}" }] }
`;

  it('is not held, and breaks visibly where it is cut', async () => {
    const step = controlledStream();
    await using upstream = await scriptedUpstream([step]);
    await using proxy = await startSidecar(yamlOf(upstream.origin));
    const opening = readerOf(proxy.port);
    await step.head({
      headers: { 'content-type': 'application/json; charset=UTF-8', 'content-length': '9999' },
    });
    await step.write('[{"candidates":[]}\n');
    const reader = await opening;
    const first = await reader.read();
    expect(Buffer.from(first.value!).toString()).toBe('[{"candidates":[]}\n');
    await step.cut();
    await expect(reader.read()).rejects.toThrow('terminated');
    expect((await proxy.waitForEvent('exchange-ended'))[0]?.reason).toBe('response_incomplete');
  });
});
