import type OpenAI from 'openai';
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { eventText, sse } from '../support/steps/event-stream.ts';
import { chat, collect, failureOf, openaiAt } from './fixture.ts';

type Chunk = OpenAI.ChatCompletionChunk;

const routeTo = (origin: string, more = ''): string => `
upstreams:
  openai:
    route: /openai
    endpoints: [{ url: "${origin}" }]
    ${more}
`;

const delta = (content: string): string =>
  JSON.stringify({ id: 'c1', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content } }] });

const startStream = (port: number, path = '/openai/v1') =>
  openaiAt(`http://127.0.0.1:${port}${path}`).chat.completions.create({ ...chat, stream: true });

it('a stream has the same bytes with and without the sidecar, comments and odd line ends included', async () => {
  const pieces = [
    ': a comment to keep the connection alive\n\n',
    eventText(delta('héllo ')),
    `data: ${delta('wörld')}\r\n\r\n`,
    eventText({ event: 'odd', id: '7', data: delta('🙂') }),
    eventText('[DONE]'),
  ];
  const answer = {
    headers: { 'content-type': 'text/event-stream' },
    body: pieces,
    framing: 'chunked',
  } as const;
  await using upstream = await scriptedUpstream([respond(answer)]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  const bytesAt = async (base: string): Promise<Buffer> => {
    const call = openaiAt(base).chat.completions.create({ ...chat, stream: true });
    return Buffer.from(await (await call.asResponse()).arrayBuffer());
  };
  const through = await bytesAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
  expect(through).toEqual(await bytesAt(`${upstream.origin}/v1`));
  expect(through.toString()).toBe(pieces.join(''));
  expect(upstream.requests[0]?.text()).toBe(upstream.requests[1]?.text());
});

it('the SDK has the head before the first event, and each event before the next is sent', async () => {
  const answer = controlledStream();
  await using upstream = await scriptedUpstream([answer]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  const starting = startStream(proxy.port);
  await answer.head();
  const stream = await starting;
  const items: AsyncIterator<Chunk> = stream[Symbol.asyncIterator]();
  for (const word of ['one', 'two', 'three']) {
    await answer.write(eventText(delta(word)));
    expect((await items.next()).value).toMatchObject({ choices: [{ delta: { content: word } }] });
  }
  await answer.write(eventText('[DONE]'));
  await answer.end();
  expect((await items.next()).done).toBe(true);
});

it('an event that is cut in the middle of a character arrives whole', async () => {
  const answer = controlledStream();
  await using upstream = await scriptedUpstream([answer]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  const starting = startStream(proxy.port);
  await answer.head();
  const received = collect(await starting);
  const bytes = Buffer.from(eventText(delta('🙂')) + eventText('[DONE]'));
  const middle = bytes.indexOf(Buffer.from('🙂')) + 2;
  await answer.write(bytes.subarray(0, middle));
  await answer.write(bytes.subarray(middle));
  await answer.end();
  expect((await received).map((chunk) => chunk.choices[0]?.delta.content)).toEqual(['🙂']);
});

it.each(['cut', 'reset'] as const)(
  'a stream that the provider breaks off (%s) raises after its last event',
  async (end) => {
    await using upstream = await scriptedUpstream([sse({ events: [delta('one'), delta('two')], end })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const stream = await startStream(proxy.port);
    const words: (string | null | undefined)[] = [];
    const raised = await failureOf(
      (async () => {
        for await (const chunk of stream) words.push(chunk.choices[0]?.delta.content);
      })(),
    );
    // A reset may overtake what was sent before it; a FIN may not.
    if (end === 'cut') expect(words).toEqual(['one', 'two']);
    expect(raised.message).toContain('terminated');
    const [ended] = await proxy.waitForEvent('exchange-ended');
    expect(ended).toMatchObject({ status: 200, result: 'error', reason: 'response_incomplete' });
    expect(upstream.requests).toHaveLength(1);
  },
);

it('leaving a stream in the middle ends it at the provider at once, and counts as a client', async () => {
  const answer = controlledStream();
  await using upstream = await scriptedUpstream([answer]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  const starting = startStream(proxy.port);
  await answer.head();
  await answer.write(eventText(delta('one')));
  for await (const chunk of await starting) {
    expect(chunk.choices[0]?.delta.content).toBe('one');
    break;
  }
  await upstream.waitForAbort(1, { timeoutMs: 3_000 });
  const [ended] = await proxy.waitForEvent('exchange-ended');
  expect(ended).toMatchObject({ status: 200, result: 'aborted', reason: 'client_aborted' });
  expect(await proxy.metric('outrigger_broken_responses_total')).toBe(0);
  expect(await proxy.metric('outrigger_breaker_transitions_total')).toBe(0);
});

it('a stream that falls silent is broken off visibly, and outlives the deadline until then', async () => {
  const answer = controlledStream();
  await using upstream = await scriptedUpstream([answer]);
  const policies = 'policies: { deadline: { after: 300ms }, attemptTimeout: { idle: 400ms } }';
  await using proxy = await startSidecar(routeTo(upstream.origin, policies));
  const starting = startStream(proxy.port);
  await answer.head();
  await answer.write(eventText(delta('one')));
  const raised = await failureOf(collect(await starting));
  expect(raised.message).toContain('terminated');
  const [ended] = await proxy.waitForEvent('exchange-ended');
  expect(ended).toMatchObject({ result: 'error', reason: 'idle_timeout' });
  expect(ended?.durationMs).toBeGreaterThan(390);
  expect(proxy.eventsNamed('deadline-exceeded')).toEqual([]);
});

it('a stream that fails before its first byte comes from the fallback instead', async () => {
  await using broken = await scriptedUpstream([respond({ status: 500 })]);
  await using spare = await scriptedUpstream([sse({ events: [delta('spare')], terminator: '[DONE]' })]);
  await using proxy = await startSidecar(`
upstreams:
  openai:
    route: /openai
    endpoints: [{ url: "${broken.origin}" }]
    policies:
      retry: false
      fallback: [{ upstream: spare, rewrite: { body: { model: spare-model } } }]
  spare:
    route: /spare
    endpoints: [{ url: "${spare.origin}" }]
    credentials: { value: "Bearer of-spare" }
`);
  const chunks = await collect(await startStream(proxy.port));
  expect(chunks.map((chunk) => chunk.choices[0]?.delta.content)).toEqual(['spare']);
  expect(spare.requests[0]?.json()).toMatchObject({ model: 'spare-model', stream: true });
  expect(spare.requests[0]?.headers('authorization')).toEqual(['Bearer of-spare']);
  expect(broken.requests[0]?.headers('authorization')).toEqual(['Bearer sk-client']);
});
