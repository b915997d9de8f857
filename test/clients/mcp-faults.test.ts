/** What the callers of both generations of the MCP SDK see when a call goes wrong, and how often the tool ran. */
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernTransport,
} from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { describe, expect, it } from 'vitest';
import { closedPort } from '../support/dead-ports.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import type { TestSidecar } from '../support/start-sidecar.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { closeBeforeResponse, cutMidBody, resetBeforeResponse } from '../support/steps/cuts.ts';
import { sse } from '../support/steps/event-stream.ts';
import type { EventStream } from '../support/steps/event-stream.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import { failureOf } from './fixture.ts';
import { toolServer } from './tool-server.ts';
import type { Fault, RpcMessage } from './tool-server.ts';

const POLICIES = [
  'retry: { maxRetries: 2, backoff: { initial: 1ms, max: 1ms }, budget: false }',
  'attemptTimeout: { firstByte: 300ms, idle: 300ms }',
  'circuitBreaker: false',
].join(', ');

const configFor = (origin: string, more = ''): string => `
upstreams:
  tools:
    route: /tools
    preset: mcp
    endpoints: [{ url: "${origin}" }]
    policies: { ${POLICIES} }
    ${more}
`;

interface ToolClient {
  call(tool: string): Promise<unknown>;
  list(): Promise<{ tools: readonly unknown[] }>;
  close(): Promise<void>;
}

const about = { name: 'test-client', version: '1.0.0' };
const addressAt = ({ port }: TestSidecar): URL => new URL(`http://127.0.0.1:${port}/tools/mcp`);

async function v1(proxy: TestSidecar): Promise<ToolClient> {
  const client = new Client(about);
  await client.connect(new StreamableHTTPClientTransport(addressAt(proxy)));
  return {
    call: (name) => client.callTool({ name, arguments: {} }, undefined, { onprogress: () => undefined }),
    list: () => client.listTools(),
    close: () => client.close(),
  };
}

async function v2(proxy: TestSidecar): Promise<ToolClient> {
  const client = new ModernClient(about, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
  await client.connect(new ModernTransport(addressAt(proxy)));
  return {
    call: (name) => client.callTool({ name, arguments: {} }, { onprogress: () => undefined }),
    list: () => client.listTools(),
    close: () => client.close(),
  };
}

const GENERATIONS = [
  { sdk: 'v1', connect: v1 },
  { sdk: 'v2', connect: v2 },
];

/** As an operator opens a breaker by hand. */
async function isolate({ adminPort }: TestSidecar): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/admin/upstreams/tools/breaker`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-outrigger-admin': 'test' },
    body: JSON.stringify({ state: 'open' }),
  });
  expect(answer.status).toBe(200);
}

const progress = ({ params }: RpcMessage): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    method: 'notifications/progress',
    params: { progressToken: params?._meta?.progressToken, progress: 1 },
  });

const streaming =
  (end: EventStream['end'], events: (message: RpcMessage) => EventStream['events']): Fault =>
  (message) =>
    sse({ events: events(message), ...(end && { end }) });

/** All of them after the tool has run. */
const BROKEN_ANSWERS: Readonly<Record<string, Fault>> = {
  'no answer, closed': () => closeBeforeResponse(),
  'no answer, reset': () => resetBeforeResponse(),
  'no answer, silent': () => stall(),
  'JSON that is cut': (_, answer) =>
    cutMidBody({ contentType: 'application/json', sent: answer.slice(0, 20) }),
  'JSON that stalls': () => stallAfterHead({ headers: { 'content-type': 'application/json' } }, ['{"jso']),
  'JSON that is broken': () => respond({ headers: { 'content-type': 'application/json' }, body: '{"jso' }),
  'JSON with nothing in it': () => respondJson({}),
  'the answer to something else': ({ id }) => respondJson({ jsonrpc: '2.0', id: `not ${id}`, result: {} }),
  'a stream with nothing in it': streaming('clean', () => []),
  'a stream that is cut before its first event': streaming('cut', () => []),
  'a stream that is reset before its first event': streaming('reset', () => []),
  'a stream that ends without the answer': streaming('clean', (message) => [progress(message)]),
  'a stream that is cut after an event': streaming('cut', (message) => [progress(message)]),
  'a stream that falls silent after an event': streaming('stall', (message) => [progress(message)]),
  'a stream whose answer is broken': streaming('clean', (message) => [
    progress(message),
    '{"jsonrpc":"2.0","id"',
  ]),
};

describe.each(GENERATIONS)('a tool that ran without an answer ($sdk)', ({ connect }) => {
  it.each(Object.entries(BROKEN_ANSWERS))('%s: the outcome is unknown, and it ran once', async (_, fault) => {
    await using server = await toolServer([fault]);
    await using proxy = await startSidecar(configFor(server.origin));
    const client = await connect(proxy);
    const raised = await failureOf(client.call('send'));
    expect(raised).toMatchObject({
      code: -32010,
      data: { code: 'outcome_unknown', sent: 'maybe', tool: 'send' },
    });
    expect(raised.constructor.name).toMatch(/^(McpError|ProtocolError)$/);
    expect(raised.message).toContain('The outcome of tool send is unknown');
    expect(server.runs).toEqual(['send']);
    expect(await client.call('send')).toMatchObject({ content: [{ text: 'send ran' }] });
    await client.close();
  });

  it.each(['declared', 'annotated and trusted'])('a tool that is %s is called again', async (how) => {
    const faults = [
      resetBeforeResponse,
      () => stallAfterHead({ headers: { 'content-type': 'application/json' } }),
    ];
    await using server = await toolServer(faults);
    const mcp = how === 'declared' ? "{ idempotentTools: ['search*'] }" : '{ trustAnnotations: true }';
    await using proxy = await startSidecar(configFor(server.origin, `mcp: ${mcp}`));
    const client = await connect(proxy);
    await client.list();
    expect(await client.call('search_web')).toMatchObject({ content: [{ text: 'search_web ran' }] });
    expect(server.runs).toEqual(['search_web', 'search_web', 'search_web']);
    await client.close();
  });

  it('an annotation that nobody trusts changes nothing', async () => {
    await using server = await toolServer([resetBeforeResponse]);
    await using proxy = await startSidecar(configFor(server.origin));
    const client = await connect(proxy);
    await client.list();
    expect(await failureOf(client.call('search_web'))).toMatchObject({ code: -32010 });
    expect(server.runs).toEqual(['search_web']);
    await client.close();
  });

  it('a declared tool whose tries are used up has an unknown outcome, too', async () => {
    await using server = await toolServer(Array.from({ length: 3 }, () => () => respondJson({})));
    await using proxy = await startSidecar(configFor(server.origin, "mcp: { idempotentTools: ['*'] }"));
    const client = await connect(proxy);
    expect(await failureOf(client.call('send'))).toMatchObject({ code: -32010 });
    expect(server.runs).toHaveLength(3);
    await client.close();
  });
});

describe.each(GENERATIONS)('answers of the server ($sdk)', ({ connect }) => {
  it('a stream with its answer is passed on, whatever cuts it afterwards', async () => {
    const whole: Fault = (message, answer) => sse({ events: [progress(message), answer], end: 'cut' });
    await using server = await toolServer([whole]);
    await using proxy = await startSidecar(configFor(server.origin));
    const client = await connect(proxy);
    expect(await client.call('send')).toMatchObject({ content: [{ text: 'send ran' }] });
    await client.close();
  });

  it('an error in the words of JSON-RPC is an answer: it is neither tried again nor counted', async () => {
    const fault: Fault = ({ id }) =>
      respondJson({
        jsonrpc: '2.0',
        id,
        error: { code: -32603, message: 'the disk is full', data: { d: 1 } },
      });
    await using server = await toolServer([fault]);
    await using proxy = await startSidecar(configFor(server.origin, "mcp: { idempotentTools: ['*'] }"));
    const client = await connect(proxy);
    expect(await failureOf(client.call('send'))).toMatchObject({ code: -32603, data: { d: 1 } });
    expect(server.runs).toEqual(['send']);
    const verdicts = proxy.eventsNamed('attempt-ended').map(({ attempt }) => attempt.verdict?.result);
    expect(verdicts).not.toContain('failure');
    await client.close();
  });

  it('a server error of HTTP is passed on and not tried again', async () => {
    await using server = await toolServer([() => respond({ status: 500, body: 'oops' })]);
    await using proxy = await startSidecar(configFor(server.origin));
    const client = await connect(proxy);
    expect((await failureOf(client.call('send'))).message).toContain('oops');
    expect(server.runs).toEqual(['send']);
    await client.close();
  });

  it('a call that was turned away for load is made again, although nobody declared it', async () => {
    await using server = await toolServer([() => respond({ status: 429, headers: { 'retry-after': '0' } })]);
    await using proxy = await startSidecar(configFor(server.origin));
    const client = await connect(proxy);
    expect(await client.call('send')).toMatchObject({ content: [{ text: 'send ran' }] });
    await client.close();
  });
});

describe.each(GENERATIONS)('calls that were not sent ($sdk)', ({ connect }) => {
  it('an open breaker is an HTTP error that says so, and no unknown outcome', async () => {
    await using server = await toolServer();
    await using proxy = await startSidecar(configFor(server.origin).replace('circuitBreaker: false', ''));
    const client = await connect(proxy);
    await isolate(proxy);
    const raised = await failureOf(client.call('send'));
    expect(JSON.stringify([raised.message, raised])).toMatch(/503.*circuit_open|circuit_open.*503/);
    expect(server.runs).toEqual([]);
    await client.close();
  });

  it('nobody listening is an HTTP error, however often it was tried', async () => {
    await using dead = await closedPort();
    await using proxy = await startSidecar(configFor(`http://127.0.0.1:${dead.port}`));
    const raised = await failureOf(connect(proxy));
    expect(JSON.stringify([raised.message, raised, raised.cause])).toContain('connection_refused');
    expect(proxy.eventsNamed('attempt-ended')).toHaveLength(3);
  });
});
