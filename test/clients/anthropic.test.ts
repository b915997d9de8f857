import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { eventText, sse, type EventInit } from '../support/steps/event-stream.ts';
import { stall } from '../support/steps/silence.ts';
import type { RecordedRequest } from '../support/upstream/recorded-request.ts';
import { anthropicAt, collect, failureOf } from './fixture.ts';

const request = { model: 'm', max_tokens: 9, messages: [{ role: 'user' as const, content: 'hello there' }] };

const message = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'm',
  content: [{ type: 'text', text: 'hi' }],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: { input_tokens: 3, output_tokens: 1 },
};

const event = (type: string, fields: object = {}): EventInit => ({
  event: type,
  data: JSON.stringify({ type, ...fields }),
});

/** A whole answer as the provider streams it, pings and keep-alive comments between its events. */
const streamOf = (...words: readonly string[]): EventInit[] => [
  event('message_start', { message: { ...message, content: [], stop_reason: null } }),
  event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
  event('ping'),
  ...words.flatMap((text) => [
    event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
    { comment: 'keep-alive' },
  ]),
  event('content_block_stop', { index: 0 }),
  event('message_delta', {
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: 2 },
  }),
  event('message_stop'),
];

const routeTo = (origin: string, more = ''): string => `
upstreams:
  anthropic:
    route: /anthropic
    endpoints: [{ url: "${origin}" }]
    ${more}
`;

describe('the Anthropic SDK, through the sidecar, to a provider', () => {
  it('gets messages, and the headers that come with them', async () => {
    const headers = { 'request-id': 'req_provider', 'anthropic-ratelimit-requests-remaining': '9' };
    await using upstream = await scriptedUpstream([respondJson(message, { headers })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const client = anthropicAt(`http://127.0.0.1:${proxy.port}/anthropic`);
    const { data, response, request_id } = await client.messages.create(request).withResponse();
    expect(data.content).toEqual(message.content);
    expect(request_id).toBe('req_provider');
    expect(response.headers.get('anthropic-ratelimit-requests-remaining')).toBe('9');
    const [seen] = upstream.requests;
    expect(seen?.target).toBe('/v1/messages');
    expect(seen?.json()).toEqual(request);
    expect(seen?.header('anthropic-version')).toMatch(/^\d{4}-\d\d-\d\d$/);
  });

  it('gets streams with pings, event by event and byte for byte', async () => {
    const events = streamOf('hel', 'lo');
    await using upstream = await scriptedUpstream([sse({ events })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const client = anthropicAt(`http://127.0.0.1:${proxy.port}/anthropic`);
    const raw = await client.messages.create({ ...request, stream: true }).asResponse();
    expect(await raw.text()).toBe(events.map(eventText).join(''));
    const final = await client.messages.stream(request).finalMessage();
    expect(final.content).toMatchObject([{ type: 'text', text: 'hello' }]);
    expect(final.stop_reason).toBe('end_turn');
  });

  it('raises the error that a provider reports in the middle of a stream', async () => {
    const overloaded = { type: 'overloaded_error', message: 'Overloaded' };
    const events = [...streamOf('hel').slice(0, 4), event('error', { error: overloaded })];
    await using upstream = await scriptedUpstream([sse({ events })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const client = anthropicAt(`http://127.0.0.1:${proxy.port}/anthropic`);
    const stream = await client.messages.create({ ...request, stream: true });
    const raised = await failureOf(collect(stream));
    expect(raised).toBeInstanceOf(Anthropic.APIError);
    expect((raised as InstanceType<typeof Anthropic.APIError>).error).toMatchObject({ error: overloaded });
  });

  it('raises when a stream is cut, instead of taking what came for the whole', async () => {
    await using upstream = await scriptedUpstream([
      sse({ events: streamOf('hel', 'lo').slice(0, 5), end: 'cut' }),
    ]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const client = anthropicAt(`http://127.0.0.1:${proxy.port}/anthropic`);
    const stream = await client.messages.create({ ...request, stream: true });
    expect((await failureOf(collect(stream))).message).toContain('terminated');
    expect((await proxy.waitForEvent('exchange-ended'))[0]?.reason).toBe('response_incomplete');
  });

  it('leaving a stream ends it at the provider at once', async () => {
    const answer = controlledStream();
    await using upstream = await scriptedUpstream([answer]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const client = anthropicAt(`http://127.0.0.1:${proxy.port}/anthropic`);
    const stream = client.messages.stream(request);
    const raised = failureOf(stream.done());
    await answer.head();
    for (const one of streamOf('hel').slice(0, 4)) await answer.write(eventText(one));
    await stream.emitted('text');
    stream.abort();
    expect(await raised).toBeInstanceOf(Anthropic.APIUserAbortError);
    await upstream.waitForAbort(1, { timeoutMs: 3_000 });
    expect((await proxy.waitForEvent('exchange-ended'))[0]?.result).toBe('aborted');
  });
});

describe('errors', () => {
  it.each([
    [400, 'invalid_request_error', Anthropic.BadRequestError],
    [401, 'authentication_error', Anthropic.AuthenticationError],
    [404, 'not_found_error', Anthropic.NotFoundError],
    [413, 'request_too_large', Anthropic.APIError],
    [429, 'rate_limit_error', Anthropic.RateLimitError],
    [500, 'api_error', Anthropic.InternalServerError],
    [529, 'overloaded_error', Anthropic.InternalServerError],
  ])(
    '%i %s is raised as its own class, with the body as the provider wrote it',
    async (status, type, kind) => {
      const body = { type: 'error', error: { type, message: 'as it was written' }, request_id: 'req_1' };
      await using upstream = await scriptedUpstream([respondJson(body, { status })]);
      await using proxy = await startSidecar(routeTo(upstream.origin, 'policies: { retry: false }'));
      const client = anthropicAt(`http://127.0.0.1:${proxy.port}/anthropic`);
      const raised = await failureOf(client.messages.create(request));
      expect(raised).toBeInstanceOf(kind);
      expect(raised).toMatchObject({ status, error: body });
    },
  );

  it('529 was turned away before any work: it is retried, and the SDK sees one success', async () => {
    const overloaded = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } };
    await using upstream = await scriptedUpstream([
      respondJson(overloaded, { status: 529 }),
      respondJson(message),
    ]);
    const policies = 'policies: { retry: { backoff: { initial: 1ms, max: 2ms } } }';
    await using proxy = await startSidecar(routeTo(upstream.origin, policies));
    const client = anthropicAt(`http://127.0.0.1:${proxy.port}/anthropic`);
    const { data, response } = await client.messages.create(request).withResponse();
    expect(data.id).toBe('msg_1');
    expect(response.headers.get('x-outrigger-attempts')).toBe('2');
    expect(upstream.requests.map((seen) => seen.text())).toEqual(Array(2).fill(JSON.stringify(request)));
  });

  it('the SDK states its timeout in seconds, which becomes the deadline', async () => {
    await using upstream = await scriptedUpstream([stall()]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const client = anthropicAt(`http://127.0.0.1:${proxy.port}/anthropic`, { timeout: 1_999 });
    const raised = await failureOf(client.messages.create(request));
    expect(raised).toMatchObject({ status: 504 });
    expect((raised as InstanceType<typeof Anthropic.APIError>).headers?.get('x-outrigger-code')).toBe(
      'deadline_exceeded',
    );
  });
});

/** The fields of a request that carry the secret of these tests, as they were sent. */
const secretFields = ({ rawHeaders }: RecordedRequest): string[] =>
  rawHeaders.filter(([, value]) => value.includes('secret-1')).map(([name, value]) => `${name}: ${value}`);

describe('credentials', () => {
  it.each([
    ['an API key', { apiKey: 'secret-1' }],
    ['a token', { apiKey: null, authToken: 'secret-1' }],
  ])('%s of the client passes untouched, in the field that the SDK chose', async (_, options) => {
    await using upstream = await scriptedUpstream([respondJson(message)]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    for (const base of [upstream.origin, `http://127.0.0.1:${proxy.port}/anthropic`])
      await anthropicAt(base, options).messages.create(request);
    const [direct, through] = upstream.requests.map(secretFields);
    expect(direct).toHaveLength(1);
    expect(through).toEqual(direct);
  });

  it('the configured one replaces whatever the client sent, in every field', async () => {
    await using upstream = await scriptedUpstream([respondJson(message)]);
    const more = 'credentials: { header: X-Api-Key, value: of-the-sidecar }';
    await using proxy = await startSidecar(routeTo(upstream.origin, more));
    const defaultHeaders = { Authorization: 'Bearer mine', 'Api-Key': 'mine', Cookie: 'a=b' };
    const client = anthropicAt(`http://127.0.0.1:${proxy.port}/anthropic`, { defaultHeaders });
    await client.messages.create(request);
    const [seen] = upstream.requests;
    expect(seen?.headers('x-api-key')).toEqual(['of-the-sidecar']);
    for (const name of ['authorization', 'api-key', 'cookie']) expect(seen?.headers(name)).toEqual([]);
  });

  it('a fallback sees neither the secret of the client nor that of the first upstream', async () => {
    await using first = await scriptedUpstream([respond({ status: 529 })]);
    await using spare = await scriptedUpstream([respondJson(message)]);
    await using proxy = await startSidecar(`
upstreams:
  anthropic:
    route: /anthropic
    endpoints: [{ url: "${first.origin}" }]
    credentials: { header: x-api-key, value: secret-of-first }
    policies: { retry: false, fallback: [{ upstream: spare }] }
  spare: { route: /spare, endpoints: [{ url: "${spare.origin}" }] }
`);
    const options = { apiKey: 'secret-of-client', defaultHeaders: { 'X-Api-Key': 'secret-of-client-too' } };
    const client = anthropicAt(`http://127.0.0.1:${proxy.port}/anthropic`, options);
    const { data, response } = await client.messages.create(request).withResponse();
    expect(data.id).toBe('msg_1');
    expect(response.headers.get('x-outrigger-attempts')).toBe('2');
    const sent = JSON.stringify(spare.requests[0]?.rawHeaders);
    expect(sent).not.toMatch(/secret-of/);
    expect(spare.requests[0]?.text()).toBe(JSON.stringify(request));
    await proxy.waitForLines(({ msg }) => msg === 'exchange');
    expect(JSON.stringify(proxy.logLines())).not.toMatch(/secret-of/);
  });
});
