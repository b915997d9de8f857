/**
 * A provider that counts what it has read, which is what it does and bills. Whatever breaks and whenever: a call that
 * leaves traces is read once at most, and a computation never more often than retries allow, the first try included.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closedPort, type DeadPort } from '../support/dead-ports.ts';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar, type TestSidecar } from '../support/start-sidecar.ts';
import { CHAT_JSON, chatChunk, response, responseEvent } from '../support/openai-fixtures.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { closeBeforeResponse, closeMidHead, cutMidBody, resetBeforeResponse } from '../support/steps/cuts.ts';
import { eventText } from '../support/steps/event-stream.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import type { RequestStep } from '../support/upstream/step.ts';

const MAX_RETRIES = 2;
const QUICK = `retry: { maxRetries: ${MAX_RETRIES}, backoff: { initial: 0s, max: 0s }, budget: false }, circuitBreaker: false`;
const IMPATIENT = `attemptTimeout: { firstByte: 60ms, firstToken: 60ms, idle: 60ms }`;

interface Call {
  readonly path: string;
  readonly body: object;
}

const UNSAFE: Readonly<Record<string, Call>> = {
  'a batch': { path: '/v1/batches', body: { input_file_id: 'f' } },
  'a job of fine-tuning': { path: '/v1/fine_tuning/jobs', body: { model: 'm' } },
  'a response in the background': { path: '/v1/responses', body: { input: 'x', background: true } },
  'a streamed response in the background': {
    path: '/v1/responses',
    body: { input: 'x', background: true, stream: true },
  },
  'a turn of a conversation': { path: '/v1/responses', body: { input: 'x', conversation: 'conv_1' } },
  'a response with tools of the provider': {
    path: '/v1/responses',
    body: {
      input: 'x',
      tools: [{ type: 'mcp', server_label: 's', server_url: 'https://tools.example.com' }],
    },
  },
  'something that nobody knows': { path: '/v1/some/new/thing', body: {} },
};

const COMPUTE: Readonly<Record<string, Call>> = {
  'a chat completion': { path: '/v1/chat/completions', body: { messages: [] } },
  'a streamed chat completion': { path: '/v1/chat/completions', body: { messages: [], stream: true } },
  'a response': { path: '/v1/responses', body: { input: 'x' } },
  'an embedding': { path: '/v1/embeddings', body: { input: 'x' } },
};

const EVENTS = { 'content-type': 'text/event-stream' };
const CREATED = responseEvent('response.created', response('queued'));
const ERROR = { error: { message: 'm', type: 'server_error', code: 'server_error' } };
const OVERLOAD = { error: { message: 'm', type: 'server_error', code: 'server_is_overloaded' } };
const QUEUED = respondJson({ id: 'x', status: 'queued', output: [] });

/** Read by the provider, answered badly or not at all, before anything that could go to the client. */
const SENT: Readonly<Record<string, RequestStep>> = {
  'is closed without an answer': closeBeforeResponse(),
  'is reset without an answer': resetBeforeResponse(),
  'breaks in the head of the answer': closeMidHead(),
  'gets a server error': respondJson(ERROR, { status: 500 }),
  'gets a server error without a word': respond({ status: 502 }),
  'gets no answer in time': stall(),
};

/** Answers that begin and are none. */
const PARTIAL: Readonly<Record<string, RequestStep>> = {
  'gets an overload inside a 200': respondJson(OVERLOAD),
  'gets an overload inside a stream': respond({
    headers: EVENTS,
    body: CREATED + eventText({ event: 'error', data: JSON.stringify(OVERLOAD) }),
  }),
  'gets a stream that is cut before its first word': cutMidBody({
    framing: 'chunked',
    contentType: 'text/event-stream',
    sent: CREATED,
  }),
  'gets a stream that ends before its first word': respond({ headers: EVENTS, body: CREATED }),
  'gets a stream that never comes to its first word': stallAfterHead({ headers: EVENTS }, [CREATED]),
  'gets half a JSON': cutMidBody({ contentType: 'application/json', sent: '{"id":"x"' }),
};

let upstream: ScriptedUpstream;
let dead: DeadPort;
let proxy: TestSidecar;
let steps: readonly RequestStep[] = [];
let asked = 0;

beforeAll(async () => {
  upstream = await scriptedUpstream(() => steps[Math.min(asked++, steps.length - 1)] ?? respond());
  dead = await closedPort();
  const at = (...urls: string[]): string =>
    `endpoints: [${urls.map((url) => `{ url: "${url}" }`).join(', ')}], preset: azure-openai`;
  proxy = await startSidecar(`
upstreams:
  api: { route: /api, ${at(upstream.origin)}, policies: { ${QUICK} } }
  hasty: { route: /hasty, ${at(upstream.origin)}, policies: { ${QUICK}, ${IMPATIENT} } }
  spread: { route: /spread, ${at(`http://127.0.0.1:${dead.port}`, upstream.origin)}, policies: { ${QUICK} } }
`);
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await dead[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

/** @returns the status, and how often the provider read the whole request */
async function make({ path, body }: Call, to: string, ...script: RequestStep[]): Promise<[number, number]> {
  steps = script;
  asked = 0;
  const before = upstream.requests.length;
  const answer = await request(proxy.port, {
    method: 'POST',
    path: `/${to}${path}`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  await answer.ended();
  return [answer.status, upstream.requests.slice(before).filter(({ complete }) => complete).length];
}

const FAULTS = Object.entries({ ...SENT, ...PARTIAL }).map(([name, step]) => ({
  name,
  step,
  to: name.includes('never') || name.includes('in time') ? 'hasty' : 'api',
}));

describe.each(Object.entries(UNSAFE))('%s', (_, call) => {
  it.each(FAULTS)('that $name is done once', async ({ step, to }) => {
    expect((await make(call, to, step))[1]).toBe(1);
  });

  it('that finds nobody at one address is done once at the next', async () => {
    for (let n = 0; n < 2; n++) expect(await make(call, 'spread', QUEUED)).toEqual([200, 1]);
  });

  it('that was refused for load is done once it is let in', async () => {
    const refused = respondJson(OVERLOAD, { status: 503, headers: { 'retry-after-ms': '1' } });
    expect(await make(call, 'api', refused, QUEUED)).toEqual([200, 2]);
  });
});

describe.each(Object.entries(COMPUTE))('%s', (_, call) => {
  it.each(FAULTS)('that $name is paid for at most as often as retries allow', async ({ step, to }) => {
    const [status, effects] = await make(call, to, step);
    expect(status).toBeGreaterThanOrEqual(500);
    expect(effects).toBe(MAX_RETRIES + 1);
  });

  it('is asked for again until there is an answer, and then no more', async () => {
    const answer = respondJson({ ...CHAT_JSON, data: [{}], output: [{}] });
    expect(await make(call, 'api', closeBeforeResponse(), answer)).toEqual([200, 2]);
  });

  it('whose stream breaks after its first word is not asked for again', async () => {
    const word = call.path.endsWith('responses')
      ? responseEvent('response.output_text.delta', { delta: 'Hi' })
      : eventText(chatChunk({ content: 'Hi' }));
    const cut = cutMidBody({ framing: 'chunked', contentType: 'text/event-stream', sent: word });
    expect(await make(call, 'api', cut)).toEqual([200, 1]);
  });
});
