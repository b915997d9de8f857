/** The fault matrix of the Anthropic dialect through the official SDK. */
import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, it } from 'vitest';
import * as given from '../support/answers/anthropic.ts';
import { errorBody, errorEvent, start, stop, streamOf, word } from '../support/answers/anthropic.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { cutMidBody, closeMidHead } from '../support/steps/cuts.ts';
import { eventText, sse } from '../support/steps/event-stream.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { underFault } from './fault-rig.ts';
import type { FaultyCall } from './fault-rig.ts';
import { anthropicAt } from './fixture.ts';

type ApiError = InstanceType<typeof Anthropic.APIError>;
type Form = 'JSON' | 'stream';

const words: string[] = [];

/** The words of the answer; `words` has them as far as they came. */
const ask: Readonly<Record<Form, (base: string) => Promise<string>>> = {
  JSON: async (base) => {
    const { content } = await anthropicAt(base).messages.create(given.request);
    return content.map((block) => (block.type === 'text' ? block.text : '')).join('');
  },
  stream: async (base) => {
    words.length = 0;
    const stream = await anthropicAt(base).messages.create({ ...given.request, stream: true });
    for await (const event of stream)
      if (event.type === 'content_block_delta' && event.delta.type === 'text_delta')
        words.push(event.delta.text);
    return words.join('');
  },
};

const good: Readonly<Record<Form, RequestStep>> = {
  JSON: respondJson(given.message),
  stream: sse({ events: streamOf('héllo', ' 🙂') }),
};

const under = <T>(faulty: Omit<FaultyCall<T>, 'dialect'>) =>
  underFault<T>({ dialect: 'anthropic', ...faulty });

const JSON_HEAD = { headers: { 'content-type': 'application/json' } };
const SSE_HEAD = { headers: { 'content-type': 'text/event-stream' } };
const refused = (status: number, body: object, headers = {}): Record<Form, RequestStep> => {
  const step = respondJson(body, { status, headers });
  return { JSON: step, stream: step };
};
const SHORT = 'attemptTimeout: { firstByte: 250ms, firstToken: 250ms, idle: 300ms }';

interface Fault {
  readonly name: string;
  readonly steps: Readonly<Record<Form, RequestStep>>;
  /** Class of the attempt that met it. */
  readonly as: string;
  /** What the caller sees when it stays: class, status, type, code and a word of the message. */
  readonly seen: readonly [new (...args: never[]) => Error, number, string, string | null, RegExp];
  readonly policies?: string;
}

const { InternalServerError, OverloadedError, RateLimitError, GatewayTimeoutError } = Anthropic;
const { ServiceUnavailableError } = Anthropic;

/** What a second attempt can mend. */
const MENDABLE: readonly Fault[] = [
  {
    name: 'a status of 500',
    steps: refused(500, errorBody('api_error')),
    as: 'transient',
    seen: [InternalServerError, 500, 'api_error', null, /as it was written/],
  },
  {
    name: 'overload',
    steps: refused(529, errorBody('overloaded_error')),
    as: 'overloaded',
    seen: [OverloadedError, 529, 'overloaded_error', null, /as it was written/],
  },
  {
    name: 'too many requests',
    steps: refused(429, errorBody('rate_limit_error'), { 'retry-after': '0' }),
    as: 'throttled',
    seen: [RateLimitError, 429, 'rate_limit_error', null, /as it was written/],
  },
  {
    name: 'an error inside a 200',
    steps: {
      JSON: respondJson(errorBody('overloaded_error', 'Overloaded')),
      stream: sse({ events: [start, errorEvent('overloaded_error', 'Overloaded')] }),
    },
    as: 'overloaded',
    seen: [ServiceUnavailableError, 503, 'overloaded_error', 'upstream_error', /Overloaded/],
  },
  {
    name: 'a 200 with nothing',
    steps: { JSON: respond(JSON_HEAD), stream: respond(SSE_HEAD) },
    as: 'transient',
    seen: [InternalServerError, 502, 'api_error', 'empty_answer', /nothing in it/],
  },
  {
    name: 'an answer without content',
    steps: {
      JSON: respondJson({ ...given.message, content: [], stop_reason: null }),
      stream: sse({ events: [start, stop] }),
    },
    as: 'transient',
    seen: [InternalServerError, 502, 'api_error', 'empty_answer', /nothing in it/],
  },
  {
    name: 'a cut before the first word',
    steps: {
      JSON: cutMidBody({ sent: '{"type":"mess', contentType: 'application/json' }),
      stream: sse({ events: [start, given.textStart(), given.ping], end: 'cut' }),
    },
    as: 'transient',
    seen: [InternalServerError, 502, 'api_error', 'response_incomplete', /before it was complete/],
  },
  {
    name: 'a clean end before the first word, or in the middle of JSON',
    steps: {
      JSON: respond({ ...JSON_HEAD, body: '{"type":"message","content":[{"type":"te' }),
      stream: sse({ events: [start, given.textStart()] }),
    },
    as: 'transient',
    seen: [InternalServerError, 502, 'api_error', null, /before it was complete|cannot be read/],
  },
  {
    name: 'something malformed',
    steps: {
      JSON: respond({ ...JSON_HEAD, body: '<html>' }),
      stream: sse({ events: [{ event: 'message_start', data: '{"type":"message_sta' }] }),
    },
    as: 'transient',
    seen: [InternalServerError, 502, 'api_error', 'malformed_answer', /cannot be read/],
  },
  {
    name: 'a connection that breaks within the head',
    steps: { JSON: closeMidHead(), stream: closeMidHead() },
    as: 'transient',
    seen: [InternalServerError, 502, 'api_error', 'response_incomplete', /before it was complete/],
  },
  {
    name: 'silence',
    steps: { JSON: stall(), stream: stall() },
    as: 'transient',
    seen: [GatewayTimeoutError, 504, 'timeout_error', 'first_byte_timeout', /begin its answer in time/],
    policies: SHORT,
  },
  {
    name: 'a slow first word, or silence in the middle of JSON',
    steps: {
      JSON: stallAfterHead(JSON_HEAD, ['{"type":']),
      stream: stallAfterHead(SSE_HEAD, [eventText(start), eventText(given.ping)]),
    },
    as: 'transient',
    seen: [GatewayTimeoutError, 504, 'timeout_error', null, /first word in time|stopped sending/],
    policies: SHORT,
  },
];

/** What no second attempt mends. */
const FINAL: readonly Fault[] = [
  {
    name: 'no credit',
    steps: refused(402, errorBody('billing_error')),
    as: 'quota',
    seen: [Anthropic.APIError, 402, 'billing_error', null, /as it was written/],
  },
  {
    name: 'a spend limit',
    steps: refused(
      429,
      errorBody('rate_limit_error', 'limit', { error_code: 'enforced_spend_limit_reached' }),
    ),
    as: 'quota',
    seen: [RateLimitError, 429, 'rate_limit_error', 'enforced_spend_limit_reached', /limit/],
  },
  {
    name: 'a wrong key',
    steps: refused(401, errorBody('authentication_error')),
    as: 'auth',
    seen: [Anthropic.AuthenticationError, 401, 'authentication_error', null, /as it was written/],
  },
  {
    name: 'a prompt that is too long',
    steps: refused(400, errorBody('invalid_request_error', 'prompt is too long: 2 tokens > 1 maximum')),
    as: 'context_length',
    seen: [Anthropic.BadRequestError, 400, 'invalid_request_error', null, /too long/],
  },
  {
    name: 'a wrong key, said inside a 200',
    steps: {
      JSON: respondJson(errorBody('authentication_error', 'invalid x-api-key')),
      stream: sse({ events: [errorEvent('authentication_error', 'invalid x-api-key')] }),
    },
    as: 'auth',
    seen: [Anthropic.AuthenticationError, 401, 'authentication_error', 'upstream_error', /invalid x-api-key/],
  },
];

function expectSeen(raised: Error | undefined, seen: Fault['seen']): void {
  const [kind, status, type, errorCode, text] = seen;
  expect(raised).toBeInstanceOf(kind);
  expect(raised).toMatchObject({ status, type, ...(errorCode !== null && { errorCode }) });
  expect((raised as ApiError).apiMessage).toMatch(text);
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

  it('a default SDK adds no attempts to ours', async () => {
    const report = await under({
      steps: [refused(500, errorBody('api_error'))[form]],
      call: (base) =>
        anthropicAt(base, { maxRetries: 2 }).messages.create({ ...given.request, stream: form === 'stream' }),
    });
    expect(report.raised).toMatchObject({ status: 500 });
    expect(report.requests).toBe(2);
  });
});

const begun = streamOf('hé').slice(0, 4);

describe('once the first word is out', () => {
  it.each([
    ['a cut', sse({ events: begun, end: 'cut' }), 'response_incomplete', 'api_error'],
    ['a clean end', sse({ events: begun }), 'response_incomplete', 'api_error'],
    [
      'a cut in the middle of an event',
      cutMidBody({
        framing: 'chunked',
        contentType: 'text/event-stream',
        sent: begun.map(eventText).join('') + eventText(word('llo')).slice(0, 60),
      }),
      'response_incomplete',
      'api_error',
    ],
    ['silence', stallAfterHead(SSE_HEAD, begun.map(eventText)), 'idle_timeout', 'timeout_error'],
  ])('%s ends the stream with an error, and nothing is asked twice', async (_, step, code, type) => {
    const report = await under({
      steps: [step],
      policies: code === 'idle_timeout' ? SHORT : '',
      call: ask.stream,
    });
    expect(words).toEqual(['hé']);
    expect(report.raised).toBeInstanceOf(Anthropic.APIError);
    expect(report.raised).toMatchObject({ type, errorCode: code });
    expect(report).toMatchObject({ requests: 1, reason: code, broken: 1 });
  });

  it("the provider's own error passes as it is, and counts as one", async () => {
    const events = [...begun, errorEvent('overloaded_error', 'Overloaded')];
    const report = await under({ steps: [sse({ events })], call: ask.stream });
    expect(report.raised).toMatchObject({ type: 'overloaded_error', apiMessage: 'Overloaded' });
    expect(report).toMatchObject({ requests: 1, reason: 'upstream_error', broken: 1 });
  });

  it('an event that cannot be read passes, and the SDK says so', async () => {
    const events = [...begun, { event: 'content_block_delta', data: '{"type":' }, ...streamOf().slice(3)];
    const report = await under({ steps: [sse({ events })], call: ask.stream });
    expect(report.raised).toBeInstanceOf(SyntaxError);
    expect(report.requests).toBe(1);
  });

  it('the helper of the SDK raises the same', async () => {
    const report = await under({
      steps: [sse({ events: begun })],
      call: (base) => anthropicAt(base).messages.stream(given.request).finalMessage(),
    });
    expect(report.raised).toMatchObject({ type: 'api_error', errorCode: 'response_incomplete' });
  });

  it('JSON that is too large to be held breaks visibly where it is cut', async () => {
    const sent = `{"type":"message","content":[{"type":"text","text":"${'a'.repeat(4_000)}`;
    const report = await under({
      steps: [cutMidBody({ sent, contentType: 'application/json' })],
      policies: 'commitGate: { holdJson: 1KiB }',
      call: ask.JSON,
    });
    expect(report.raised).toBeInstanceOf(Error);
    expect(report).toMatchObject({ requests: 1, reason: 'response_incomplete', broken: 1 });
  });
});
