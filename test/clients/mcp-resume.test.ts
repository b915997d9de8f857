/** Streams that break off between the sidecar and an MCP server, for a client that does not resume by itself. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { expect, it } from 'vitest';
import { startSidecar } from '../support/start-sidecar.ts';
import { failureOf } from './fixture.ts';
import { mcpServer } from './mcp-server.ts';

const configFor = (origin: string, tries = 5): string => `
upstreams:
  tools:
    route: /tools
    preset: mcp
    endpoints: [{ url: "${origin}" }]
    policies: { streamResume: { initial: 10ms, maxTries: ${tries} } }
`;

async function connect(port: number): Promise<Client & AsyncDisposable> {
  const reconnectionOptions = {
    initialReconnectionDelay: 1,
    maxReconnectionDelay: 1,
    reconnectionDelayGrowFactor: 1,
    maxRetries: 0,
  };
  const url = new URL(`http://127.0.0.1:${port}/tools/mcp`);
  const client = new Client({ name: 'test-client', version: '1.0.0' });
  await client.connect(new StreamableHTTPClientTransport(url, { reconnectionOptions }));
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() });
}

it('a call whose stream breaks off twice gets its answer, and the tool ran once', async () => {
  await using server = await mcpServer({ resumable: true });
  await using proxy = await startSidecar(configFor(server.origin));
  await using client = await connect(proxy.port);
  await server.waitForRequest('GET');
  const progress: number[] = [];
  const onprogress = (one: { progress: number }): void => void progress.push(one.progress);
  const result = client.callTool({ name: 'wait' }, undefined, { onprogress });
  const call = await server.waitFor(() => server.calls[0], 'the call');
  await call.progress(1, 3);
  await expect.poll(() => progress, { interval: 2 }).toEqual([1]);
  server.requests
    .filter(({ method }) => method === 'POST')
    .at(-1)
    ?.socket.destroy();
  const resumed = await server.waitForRequest('GET', 2);
  expect(resumed.headers).toMatchObject({ 'last-event-id': expect.stringMatching(/_\d+$/) as string });
  expect(resumed.headers['mcp-session-id']).toBe([...server.sessions.keys()][0]);
  await call.progress(2, 3);
  await expect.poll(() => progress, { interval: 2 }).toEqual([1, 2]);
  resumed.socket.destroy();
  await server.waitForRequest('GET', 3);
  call.answer('after two breaks');
  expect(await result).toMatchObject({ content: [{ text: 'after two breaks' }] });
  expect([progress, server.calls.length]).toEqual([[1, 2], 1]);
  expect(proxy.eventsNamed('stream-resumed')).toHaveLength(2);
});

it('the stream at GET goes on after a break', async () => {
  await using server = await mcpServer({ resumable: true });
  await using proxy = await startSidecar(configFor(server.origin));
  await using client = await connect(proxy.port);
  const heard: unknown[] = [];
  client.setNotificationHandler(
    LoggingMessageNotificationSchema,
    ({ params }) => void heard.push(params.data),
  );
  const open = await server.waitForRequest('GET');
  const [session] = server.sessions.values();
  await session?.server.sendLoggingMessage({ level: 'info', data: 'before' });
  await expect.poll(() => heard, { interval: 2 }).toEqual(['before']);
  open.socket.destroy();
  await server.waitForRequest('GET', 2);
  await session?.server.sendLoggingMessage({ level: 'info', data: 'after' });
  await expect.poll(() => heard, { interval: 2 }).toEqual(['before', 'after']);
});

it('a server that has forgotten the session breaks the stream for the client', async () => {
  await using server = await mcpServer({ resumable: true });
  await using proxy = await startSidecar(configFor(server.origin));
  await using client = await connect(proxy.port);
  await server.waitForRequest('GET');
  const raised = Promise.withResolvers<Error>();
  client.onerror = (error) => raised.resolve(error);
  const heard = Promise.withResolvers<void>();
  const onprogress = (): void => heard.resolve();
  const result = failureOf(client.callTool({ name: 'wait' }, undefined, { onprogress }));
  const call = await server.waitFor(() => server.calls[0], 'the call');
  await call.progress(1, 3);
  await heard.promise;
  const [[id, session] = []] = server.sessions;
  server.sessions.delete(id ?? '');
  const posts = server.requests.filter(({ method }) => method === 'POST');
  posts.at(-1)?.socket.destroy();
  await proxy.waitForEvent('stream-lost');
  expect((await raised.promise).message).toMatch(/terminated|disconnected|aborted/);
  expect(server.calls).toHaveLength(1);
  await client.close();
  await session?.server.close();
  await result;
});
