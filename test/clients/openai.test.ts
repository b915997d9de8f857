import { createHash } from 'node:crypto';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { playgroundWith } from '../playground/fixture.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { stall } from '../support/steps/silence.ts';
import { chat, collect, failureOf, openaiAt } from './fixture.ts';

const completion = {
  id: 'c1',
  object: 'chat.completion',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hi' } }],
};

const routeTo = (origin: string, more = ''): string => `
upstreams:
  openai:
    route: /openai
    endpoints: [{ url: "${origin}" }]
    ${more}
`;

describe('the OpenAI SDK, through the sidecar, to a provider', () => {
  it('gets chat completions, whole and streamed', async () => {
    const playground = await playgroundWith({ stream: { tokens: 6 } });
    await using proxy = await startSidecar(routeTo(playground.address.url));
    const { chat: api } = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    const whole = await api.completions.create({ ...chat, model: 'any-name' });
    expect(whole).toMatchObject({ object: 'chat.completion', model: 'any-name' });
    const chunks = await collect(await api.completions.create({ ...chat, stream: true }));
    const streamed = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
    expect(streamed).toBe(whole.choices[0]?.message.content);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop');
    const helped = await api.completions.stream(chat).finalChatCompletion();
    expect(helped.choices[0]?.message.content).toBe(streamed);
  });

  it('gets responses, whole and streamed, with every event in order', async () => {
    const playground = await playgroundWith({ stream: { tokens: 3 } });
    await using proxy = await startSidecar(routeTo(playground.address.url));
    const { responses } = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    const whole = await responses.create({ model: 'm', input: 'hello there' });
    expect(whole.status).toBe('completed');
    const events = await collect(await responses.create({ model: 'm', input: 'hello there', stream: true }));
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
    expect(events.at(-1)?.type).toBe('response.completed');
    const helped = await responses.stream({ model: 'm', input: 'hello there' }).finalResponse();
    expect(helped.output_text).toBe(whole.output_text);
  });

  it('gets embeddings and models, the same as without the sidecar', async () => {
    const playground = await playgroundWith();
    await using proxy = await startSidecar(routeTo(playground.address.url));
    const through = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    const direct = openaiAt(`${playground.address.url}/v1`);
    const request = { model: 'm', input: ['cat', 'dog'] };
    expect((await through.embeddings.create(request)).data).toEqual(
      (await direct.embeddings.create(request)).data,
    );
    const models = await collect(through.models.list());
    expect(models.map(({ id }) => id)).toContain('playground-small');
  });

  it('sends three megabytes of picture that arrive byte for byte', async () => {
    await using upstream = await scriptedUpstream([respondJson(completion)]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const picture = Buffer.alloc(3 * 1024 * 1024, 'picture').toString('base64');
    const url = `data:image/png;base64,${picture}`;
    const content = [{ type: 'image_url' as const, image_url: { url } }];
    const body = { model: 'm', messages: [{ role: 'user' as const, content }] };
    const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    const { data, response } = await openai.chat.completions.create(body).withResponse();
    expect(data.choices[0]?.message.content).toBe('hi');
    const [seen] = upstream.requests;
    const digest = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');
    expect(digest(seen?.body ?? '')).toBe(digest(JSON.stringify(body)));
    expect(seen?.header('content-length')).toBe(String(JSON.stringify(body).length));
    expect(response.headers.get('x-outrigger-replay')).toBeNull();
    expect(await proxy.metric('outrigger_replay_bytes')).toBe(0);
  });

  it('sends its credential and its own headers untouched', async () => {
    await using upstream = await scriptedUpstream([respondJson(completion)]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`, {
      organization: 'org-1',
      defaultHeaders: { 'X-My-Header': 'mine' },
    });
    await openai.chat.completions.create(chat);
    const [seen] = upstream.requests;
    expect(seen?.target).toBe('/v1/chat/completions');
    expect(seen?.headers('authorization')).toEqual(['Bearer sk-client']);
    expect(seen?.header('openai-organization')).toBe('org-1');
    expect(seen?.header('x-my-header')).toBe('mine');
    expect(seen?.header('x-stainless-lang')).toBe('js');
    expect(seen?.header('host')).toBe(`127.0.0.1:${upstream.port}`);
  });

  it.each([
    ['a route with several segments', '/team/openai', '/team/openai/v1', ''],
    ['an upstream with a base path', '/openai', '/openai', '/base/v1'],
    ['the root as route', '/', '/v1', ''],
  ])('works with %s', async (_, route, base, upstreamBase) => {
    await using upstream = await scriptedUpstream([respondJson(completion)]);
    await using proxy = await startSidecar(`
upstreams:
  openai:
    route: ${route}
    endpoints: [{ url: "${upstream.origin}${upstreamBase}" }]
`);
    await openaiAt(`http://127.0.0.1:${proxy.port}${base}`).chat.completions.create(chat);
    expect(upstream.requests[0]?.target).toBe(`${upstreamBase || '/v1'}/chat/completions`);
  });

  it('works with a listener that belongs to the upstream alone', async () => {
    await using upstream = await scriptedUpstream([respondJson(completion)]);
    await using proxy = await startSidecar(routeTo(upstream.origin, 'listen: "127.0.0.1:0"'));
    const port = proxy.sidecar.dataPlane.address('openai')?.port;
    await openaiAt(`http://127.0.0.1:${port}/v1`).chat.completions.create(chat);
    expect(upstream.requests[0]?.target).toBe('/v1/chat/completions');
  });
});

describe('errors of the provider', () => {
  it.each([
    [401, OpenAI.AuthenticationError, 'invalid_api_key'],
    [404, OpenAI.NotFoundError, 'model_not_found'],
    [429, OpenAI.RateLimitError, 'rate_limit_exceeded'],
    [500, OpenAI.InternalServerError, 'server_error'],
  ])('%i is raised as its own class, with the body as the provider wrote it', async (status, kind, code) => {
    const error = { message: `it is ${code} – “quoted”`, type: 'a_type', param: null, code };
    const answer = respondJson({ error }, { status, headers: { 'x-request-id': 'req-of-provider' } });
    await using upstream = await scriptedUpstream([answer]);
    await using proxy = await startSidecar(routeTo(upstream.origin, 'policies: { retry: false }'));
    const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    const raised = await failureOf(openai.chat.completions.create(chat));
    expect(raised).toBeInstanceOf(kind);
    expect(raised).toMatchObject({ status, error, code, requestID: 'req-of-provider' });
    expect(upstream.requests).toHaveLength(1);
  });

  it('an answer that is no JSON at all passes unchanged, too', async () => {
    const page = '<html><body>502 Bad Gateway</body></html>';
    await using upstream = await scriptedUpstream([respond({ status: 502, body: page })]);
    await using proxy = await startSidecar(routeTo(upstream.origin, 'policies: { retry: false }'));
    const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    const raised = await failureOf(openai.chat.completions.create(chat));
    expect(raised).toBeInstanceOf(OpenAI.InternalServerError);
    expect(raised.message).toBe(`502 ${page}`);
  });

  it('a retry makes a failure invisible: the SDK sees one success that took two attempts', async () => {
    const busy = respond({ status: 503, headers: { 'retry-after-ms': '1' }, body: 'busy' });
    await using upstream = await scriptedUpstream([busy, respondJson(completion)]);
    await using proxy = await startSidecar(routeTo(upstream.origin, RETRY_SOON));
    const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    const { data, response } = await openai.chat.completions.create(chat).withResponse();
    expect(data.choices[0]?.message.content).toBe('hi');
    expect(response.headers.get('x-outrigger-attempts')).toBe('2');
    const [first, second] = upstream.requests;
    expect(second?.text()).toBe(first?.text());
    expect(second?.header('x-stainless-retry-count')).toBe('0');
  });

  it('a POST that a provider may have begun is left to the SDK, which retries it itself', async () => {
    await using upstream = await scriptedUpstream([respond({ status: 500 }), respondJson(completion)]);
    await using proxy = await startSidecar(routeTo(upstream.origin, RETRY_SOON));
    const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`, { maxRetries: 1 });
    const { response } = await openai.chat.completions.create(chat).withResponse();
    expect(response.headers.get('x-outrigger-attempts')).toBe('1');
    expect(upstream.requests.map((seen) => seen.header('x-stainless-retry-count'))).toEqual(['0', '1']);
  });
});

const RETRY_SOON = 'policies: { retry: { maxRetries: 2, backoff: { initial: 1ms, max: 2ms } } }';

describe('time', () => {
  it('an SDK that gives up before the provider answers ends the call upstream, and counts as a client', async () => {
    await using upstream = await scriptedUpstream([stall()]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    const raised = await failureOf(openai.chat.completions.create(chat, { timeout: 400 }));
    expect(raised).toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
    await upstream.waitForAbort(1, { timeoutMs: 3_000 });
    const [ended] = await proxy.waitForEvent('exchange-ended');
    expect(ended).toMatchObject({ result: 'aborted', status: 499, reason: 'client_aborted' });
    expect(await proxy.metric('outrigger_client_aborts_total', { upstream: 'openai' })).toBe(1);
    expect(upstream.requests).toHaveLength(1);
  });

  it('the time that an SDK states becomes the deadline, so that it hears why and not only silence', async () => {
    await using upstream = await scriptedUpstream([stall()]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    const startedAt = performance.now();
    const raised = await failureOf(openai.chat.completions.create(chat, { timeout: 1_999 }));
    expect(performance.now() - startedAt).toBeGreaterThan(990);
    expect(raised).toBeInstanceOf(OpenAI.InternalServerError);
    expect(raised).toMatchObject({ status: 504 });
    expect(raised.message).toContain('deadline_exceeded');
    expect(upstream.requests[0]?.header('x-stainless-timeout')).toBe('1');
    await upstream.waitForAbort();
  });

  it('an AbortController ends the call at the provider at once', async () => {
    await using upstream = await scriptedUpstream([stall()]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const openai = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    const controller = new AbortController();
    const raised = failureOf(openai.chat.completions.create(chat, { signal: controller.signal }));
    await upstream.waitForRequest();
    controller.abort();
    expect(await raised).toBeInstanceOf(OpenAI.APIUserAbortError);
    await upstream.waitForAbort();
    const [ended] = await proxy.waitForEvent('exchange-ended');
    expect(ended).toMatchObject({ result: 'aborted', reason: 'client_aborted' });
    const [attempt] = ended?.exchange.attempts ?? [];
    expect(attempt?.verdict).toMatchObject({ class: 'abandoned', result: 'neutral' });
  });
});
