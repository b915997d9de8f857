/** What callers of the A2A SDK see, over both bindings, when a call goes wrong, and how often the agent was asked. */
import { ClientFactory, ClientFactoryOptions } from '@a2a-js/sdk/client';
import type { Client } from '@a2a-js/sdk/client';
import { describe, expect, it } from 'vitest';
import { closedPort } from '../support/dead-ports.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { closeBeforeResponse, cutMidBody, resetBeforeResponse } from '../support/steps/cuts.ts';
import { sse } from '../support/steps/event-stream.ts';
import { stall } from '../support/steps/silence.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { collect, failureOf } from './fixture.ts';

type Binding = 'JSONRPC' | 'HTTP+JSON';

const POLICIES = [
  'retry: { maxRetries: 2, backoff: { initial: 1ms, max: 1ms }, budget: false }',
  'attemptTimeout: { firstByte: 300ms, idle: 300ms }',
  'circuitBreaker: false',
  'resume: { tries: 2, initial: 1ms, max: 2ms }',
].join(', ');

const configFor = (origin: string, options = ''): string => `
upstreams:
  agent:
    route: /agent
    preset: a2a
    a2a: { rewriteCard: true, ${options} }
    endpoints: [{ url: "${origin}" }]
    policies: { ${POLICIES} }
`;

const cardAt = (origin: string, binding: Binding) => ({
  name: 'agent',
  description: 'counts',
  version: '1.0.0',
  supportedInterfaces: [
    { url: `${origin}/a2a`, protocolBinding: binding, protocolVersion: '1.0', tenant: '' },
  ],
  capabilities: { streaming: true },
  defaultInputModes: ['text/plain'],
  defaultOutputModes: ['text/plain'],
  skills: [],
});

interface Asked {
  readonly id?: number;
}

/** How an agent treats its calls, one after the other; the last repeats. */
type Treatment = (asked: Asked) => RequestStep;

interface Agent extends AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  /** Calls other than for the card, by path or method. */
  asked(): string[];
}

async function agent(binding: Binding, treatments: readonly Treatment[]): Promise<Agent> {
  let calls = 0;
  const step: RequestStep = {
    name: 'agent',
    startsAt: 'body',
    run: (exchange) => {
      const { request } = exchange;
      if (request.target.includes('/.well-known/')) {
        const origin = `http://${request.header('host')}`;
        return respondJson(cardAt(origin, binding)).run(exchange);
      }
      const treatment = treatments[Math.min(calls++, treatments.length - 1)]!;
      return treatment(request.text() === '' ? {} : (request.json() as Asked)).run(exchange);
    },
  };
  const upstream = await scriptedUpstream([step]);
  return {
    upstream,
    asked: () =>
      upstream.requests
        .filter(({ target }) => !target.includes('/.well-known/'))
        .map((request) =>
          binding === 'JSONRPC' ? (request.json() as { method: string }).method : request.target,
        ),
    [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose](),
  };
}

const clientAt = (port: number, path = '/agent/'): Promise<Client> =>
  new ClientFactory(ClientFactoryOptions.default).createFromUrl(`http://127.0.0.1:${port}${path}`);

type Sending = Parameters<Client['sendMessage']>[0];

const MESSAGE = {
  tenant: '',
  message: {
    messageId: 'm-1',
    contextId: '',
    taskId: '',
    role: 1,
    parts: [],
    metadata: undefined,
    extensions: [],
    referenceTaskIds: [],
  },
  configuration: undefined,
  metadata: undefined,
} as unknown as Sending;

const BINDINGS: { binding: Binding }[] = [{ binding: 'JSONRPC' }, { binding: 'HTTP+JSON' }];

const wrap = (binding: Binding, { id }: Asked, result: unknown): string =>
  JSON.stringify(binding === 'JSONRPC' ? { jsonrpc: '2.0', id, result } : result);

const REPLY = { message: { messageId: 'r-1', role: 'ROLE_AGENT', parts: [{ text: 'done' }] } };
const status = (state: string) => ({
  statusUpdate: { taskId: 't-1', contextId: 'c-1', status: { state: `TASK_STATE_${state}` } },
});

describe.each(BINDINGS)('an A2A client through the sidecar ($binding)', ({ binding }) => {
  const answers: Treatment = (asked) =>
    respond({ headers: { 'content-type': 'application/json' }, body: wrap(binding, asked, REPLY) });
  const streams =
    (end: 'clean' | 'cut' | 'stall', ...events: unknown[]): Treatment =>
    (asked) =>
      sse({ events: events.map((one) => wrap(binding, asked, one)), end });

  it('follows the rewritten card through the sidecar', async () => {
    await using one = await agent(binding, [answers]);
    await using proxy = await startSidecar(configFor(one.upstream.origin));
    const client = await clientAt(proxy.port);
    expect(await client.sendMessage(MESSAGE)).toMatchObject({ messageId: 'r-1' });
    expect(proxy.eventsNamed('exchange-ended').map(({ exchange }) => exchange.call.operation)).toEqual([
      'agent-card',
      'SendMessage',
    ]);
  });

  const broken: Readonly<Record<string, Treatment>> = {
    'no answer, closed': () => closeBeforeResponse(),
    'no answer, reset': () => resetBeforeResponse(),
    'no answer, silent': () => stall(),
    'an answer that is cut': () => cutMidBody({ contentType: 'application/json', sent: '{"jso' }),
    'an answer with nothing in it': () => respondJson({}),
  };

  it.each(Object.entries(broken))(
    '%s: the outcome is unknown, and the agent was asked once',
    async (_, how) => {
      await using one = await agent(binding, [how]);
      await using proxy = await startSidecar(configFor(one.upstream.origin));
      const client = await clientAt(proxy.port);
      const raised = await failureOf(client.sendMessage(MESSAGE));
      expect(raised.message).toContain('The outcome of SendMessage is unknown');
      expect(one.asked()).toHaveLength(1);
    },
  );

  it('an agent that knows its messages by their id is asked again', async () => {
    await using one = await agent(binding, [() => closeBeforeResponse(), () => respondJson({}), answers]);
    await using proxy = await startSidecar(configFor(one.upstream.origin, 'idempotentMessages: true'));
    const client = await clientAt(proxy.port);
    expect(await client.sendMessage(MESSAGE)).toMatchObject({ messageId: 'r-1' });
    expect(one.asked()).toHaveLength(3);
  });

  it('a task is asked for again without being told to', async () => {
    const task: Treatment = (asked) =>
      respond({
        headers: { 'content-type': 'application/json' },
        body: wrap(binding, asked, { id: 't-1', contextId: 'c', status: { state: 'TASK_STATE_WORKING' } }),
      });
    await using one = await agent(binding, [
      () => resetBeforeResponse(),
      () => respond({ status: 503 }),
      task,
    ]);
    await using proxy = await startSidecar(configFor(one.upstream.origin));
    const client = await clientAt(proxy.port);
    const found = await client.getTask({ tenant: '', id: 't-1', historyLength: undefined });
    expect(found).toMatchObject({ id: 't-1' });
    expect(one.asked()).toHaveLength(3);
  });

  it('a stream that ends with its task is passed on', async () => {
    await using one = await agent(binding, [streams('clean', status('WORKING'), status('COMPLETED'))]);
    await using proxy = await startSidecar(configFor(one.upstream.origin));
    const client = await clientAt(proxy.port);
    expect(await collect(client.sendMessageStream(MESSAGE))).toHaveLength(2);
    expect(proxy.eventsNamed('exchange-ended').at(-1)?.result).toBe('ok');
  });

  it.each(['clean', 'cut', 'stall'] as const)(
    'a stream whose task goes on when it ends (%s) is subscribed to anew, and the client sees one stream',
    async (end) => {
      await using one = await agent(binding, [
        streams(end, status('WORKING')),
        streams(end, status('WORKING'), status('WORKING')),
        streams('clean', status('WORKING'), status('COMPLETED')),
      ]);
      await using proxy = await startSidecar(configFor(one.upstream.origin));
      const client = await clientAt(proxy.port);
      expect(await collect(client.sendMessageStream(MESSAGE))).toHaveLength(5);
      const subscribed = binding === 'JSONRPC' ? 'SubscribeToTask' : '/a2a/tasks/t-1:subscribe';
      expect(one.asked().slice(1)).toEqual([subscribed, subscribed]);
    },
  );

  it.each(['clean', 'cut', 'stall'] as const)(
    'a stream that no subscription brings to its end (%s) ends with an error, and is not begun again',
    async (end) => {
      await using one = await agent(binding, [streams(end, status('WORKING'))]);
      await using proxy = await startSidecar(configFor(one.upstream.origin));
      const client = await clientAt(proxy.port);
      const seen: unknown[] = [];
      const raised = await failureOf(
        (async () => {
          for await (const event of client.sendMessageStream(MESSAGE)) seen.push(event);
        })(),
      );
      expect(raised.message).toContain('The outcome of SendStreamingMessage is unknown');
      expect(seen).toHaveLength(3);
      expect(one.asked()).toHaveLength(3);
      expect(one.asked().filter((what) => /Send|message/.test(what))).toHaveLength(1);
    },
  );

  it('nobody listening is an error that says so', async () => {
    await using dead = await closedPort();
    await using one = await agent(binding, [answers]);
    await using proxy = await startSidecar(configFor(`http://127.0.0.1:${dead.port}`));
    const card = cardAt(`http://127.0.0.1:${proxy.port}/agent`, binding);
    await using cards = await scriptedUpstream([respondJson(card)]);
    const client = await clientAt(Number(new URL(cards.origin).port), '/');
    const raised = await failureOf(client.sendMessage(MESSAGE));
    expect(raised.message).toContain('refused the connection');
    expect(one.asked()).toEqual([]);
  });
});

it('a signed card is passed on as it is, and that is told', async () => {
  const signed = (origin: string) => ({
    ...cardAt(origin, 'JSONRPC'),
    signatures: [{ protected: 'e30', signature: 'c2ln' }],
  });
  await using upstream = await scriptedUpstream([respondJson(signed('http://up.test'))]);
  await using proxy = await startSidecar(configFor(upstream.origin));
  const answer = await fetch(`http://127.0.0.1:${proxy.port}/agent/.well-known/agent-card.json`);
  expect(await answer.json()).toEqual(signed('http://up.test'));
  expect(proxy.eventsNamed('answer-kept').map(({ why }) => why)).toEqual([
    'it is signed, and would not be valid any more',
  ]);
});
