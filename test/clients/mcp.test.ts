import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  StreamableHTTPClientTransport,
  StreamableHTTPError,
} from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { describe, expect, it } from 'vitest';
import { startSidecar } from '../support/start-sidecar.ts';
import { failureOf } from './fixture.ts';
import { mcpServer } from './mcp-server.ts';

const routeFor =
  (dialect: string) =>
  (origin: string, more = ''): string => `
upstreams:
  tools:
    route: /tools
    dialect: ${dialect}
    endpoints: [{ url: "${origin}" }]
    ${more}
`;

interface Connected extends AsyncDisposable {
  readonly client: Client;
  readonly transport: StreamableHTTPClientTransport;
}

/** A client that has been initialized over the sidecar at `port`. */
async function connect(
  port: number,
  prepare: (client: Client) => void = () => undefined,
): Promise<Connected> {
  const reconnectionOptions = {
    initialReconnectionDelay: 10,
    maxReconnectionDelay: 20,
    reconnectionDelayGrowFactor: 1,
    maxRetries: 3,
  };
  const url = new URL(`http://127.0.0.1:${port}/tools/mcp`);
  const transport = new StreamableHTTPClientTransport(url, { reconnectionOptions });
  const client = new Client({ name: 'test-client', version: '1.0.0' });
  prepare(client);
  await client.connect(transport);
  return { client, transport, [Symbol.asyncDispose]: () => client.close() };
}

const text = (value: string) => ({ content: [{ type: 'text', text: value }] });

const DIALECTS = ['generic', 'mcp'];

describe.each(DIALECTS)('an MCP client, through the sidecar (%s), to an MCP server', (dialect) => {
  const routeTo = routeFor(dialect);

  it.each([{ json: false }, { json: true }])(
    'initializes, lists and calls tools ($json)',
    async (options) => {
      await using server = await mcpServer(options);
      await using proxy = await startSidecar(routeTo(server.origin));
      await using mcp = await connect(proxy.port);
      expect(mcp.client.getServerVersion()?.name).toBe('test-server');
      expect((await mcp.client.listTools()).tools.map(({ name }) => name)).toEqual(['echo', 'wait']);
      const result = await mcp.client.callTool({ name: 'echo', arguments: { a: 'ä' } });
      expect(result).toMatchObject(text('{"a":"ä"}'));
    },
  );

  it('session and protocol version travel in their headers, and the session is ended by DELETE', async () => {
    await using server = await mcpServer();
    await using proxy = await startSidecar(routeTo(server.origin));
    await using mcp = await connect(proxy.port);
    await mcp.client.listTools();
    const [id] = server.sessions.keys();
    expect(mcp.transport.sessionId).toBe(id);
    const last = server.requests.filter(({ method }) => method === 'POST').at(-1);
    expect(last?.headers['mcp-session-id']).toBe(id);
    expect(last?.headers['mcp-protocol-version']).toBe(mcp.transport.protocolVersion);
    await mcp.transport.terminateSession();
    expect(server.sessions.size).toBe(0);
    const [ended] = server.requests.filter(({ method }) => method === 'DELETE');
    expect(ended?.headers['mcp-session-id']).toBe(id);
  });

  it('a session that the server does not know any more is a 404 for the client, and no failure', async () => {
    await using server = await mcpServer();
    await using proxy = await startSidecar(routeTo(server.origin));
    await using mcp = await connect(proxy.port);
    const [[id, session] = []] = server.sessions;
    server.sessions.delete(id ?? '');
    const raised = await failureOf(mcp.client.listTools());
    await session?.server.close();
    expect(raised).toBeInstanceOf(StreamableHTTPError);
    expect((raised as StreamableHTTPError).code).toBe(404);
    expect(proxy.eventsNamed('retry-scheduled')).toEqual([]);
  });

  it('each progress notification arrives before the next is sent, long before the result', async () => {
    await using server = await mcpServer();
    await using proxy = await startSidecar(routeTo(server.origin));
    await using mcp = await connect(proxy.port);
    const seen: number[] = [];
    let heard: () => void = () => undefined;
    const onprogress = ({ progress }: { progress: number }): void => {
      seen.push(progress);
      heard();
    };
    const result = mcp.client.callTool({ name: 'wait' }, undefined, { onprogress });
    const call = await server.waitFor(() => server.calls[0], 'the call');
    for (const step of [1, 2, 3]) {
      const arrived = new Promise<void>((resolve) => (heard = resolve));
      await call.progress(step, 3);
      await arrived;
      expect(seen.at(-1)).toBe(step);
    }
    call.answer('done');
    expect(await result).toMatchObject(text('done'));
  });

  it('messages of the server arrive on the GET stream', async () => {
    await using server = await mcpServer();
    await using proxy = await startSidecar(routeTo(server.origin));
    const logged = Promise.withResolvers<unknown>();
    const changed = Promise.withResolvers<void>();
    await using _mcp = await connect(proxy.port, (client) => {
      client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) =>
        logged.resolve(params.data),
      );
      client.setNotificationHandler(ToolListChangedNotificationSchema, () => changed.resolve());
    });
    await server.waitForRequest('GET');
    const [session] = server.sessions.values();
    await session?.server.sendLoggingMessage({ level: 'info', data: 'from the server' });
    expect(await logged.promise).toBe('from the server');
    await session?.server.sendToolListChanged();
    await changed.promise;
  });

  it('a server without a GET stream (405) is no failure: calls go on', async () => {
    await using server = await mcpServer({ get: false });
    await using proxy = await startSidecar(routeTo(server.origin));
    const errors: Error[] = [];
    await using mcp = await connect(proxy.port, (client) => (client.onerror = (error) => errors.push(error)));
    await server.waitFor(() => server.requests.find(({ method, end }) => method === 'GET' && end), 'the 405');
    expect(await mcp.client.callTool({ name: 'echo', arguments: {} })).toMatchObject(text('{}'));
    expect(errors).toEqual([]);
    expect(proxy.eventsNamed('retry-scheduled')).toEqual([]);
    const verdicts = proxy.eventsNamed('attempt-ended').map(({ attempt }) => attempt.verdict?.result);
    expect(verdicts).not.toContain('failure');
  });
});

describe.each(DIALECTS)('endings (%s)', (dialect) => {
  const routeTo = routeFor(dialect);

  it('closing the client closes its streams at the server, the idle one and the one of a call', async () => {
    await using server = await mcpServer();
    await using proxy = await startSidecar(routeTo(server.origin));
    await using mcp = await connect(proxy.port);
    const open = await server.waitForRequest('GET');
    const call = failureOf(mcp.client.callTool({ name: 'wait' }));
    await server.waitFor(() => server.calls[0], 'the call');
    await mcp.client.close();
    await call;
    await server.waitFor(() => (open.end === 'broken' ? true : undefined), 'the end of the GET stream');
    const post = server.requests.filter(({ method }) => method === 'POST').at(-1);
    await server.waitFor(() => (post?.end === 'broken' ? true : undefined), 'the end of the call');
    const aborted = (await proxy.waitForEvent('exchange-ended', 4)).filter(
      ({ result }) => result === 'aborted',
    );
    expect(aborted).toHaveLength(2);
  });

  it('a cancelled call is cancelled at the server by a message of its own', async () => {
    await using server = await mcpServer();
    await using proxy = await startSidecar(routeTo(server.origin));
    await using mcp = await connect(proxy.port);
    const controller = new AbortController();
    const call = failureOf(mcp.client.callTool({ name: 'wait' }, undefined, { signal: controller.signal }));
    await server.waitFor(() => server.calls[0], 'the call');
    const posts = server.requests.filter(({ method }) => method === 'POST').length;
    controller.abort('not needed');
    expect((await call).message).toContain('not needed');
    await server.waitForRequest('POST', posts + 1);
  });

  it.each(['the server closes', 'the connection breaks'])(
    'a call whose stream ends early because %s is resumed with Last-Event-ID',
    async (how) => {
      await using server = await mcpServer({ resumable: true });
      await using proxy = await startSidecar(routeTo(server.origin));
      await using mcp = await connect(proxy.port);
      await server.waitForRequest('GET');
      const progress: number[] = [];
      const heard = Promise.withResolvers<void>();
      const onprogress = (one: { progress: number }): void => {
        progress.push(one.progress);
        heard.resolve();
      };
      const result = mcp.client.callTool({ name: 'wait' }, undefined, { onprogress });
      const call = await server.waitFor(() => server.calls[0], 'the call');
      const stream = server.requests.filter(({ method }) => method === 'POST').at(-1);
      await call.progress(1, 2);
      await heard.promise;
      if (how === 'the server closes') call.closeStream();
      else stream?.socket.destroy();
      const resumed = await server.waitForRequest('GET', 2);
      expect(resumed.headers['last-event-id']).toMatch(/_\d+$/);
      call.answer('after the break');
      expect(await result).toMatchObject(text('after the break'));
      expect(progress).toEqual([1]);
    },
  );

  it('a silent GET stream lives on past the deadline of ordinary calls', async () => {
    await using server = await mcpServer({ json: true });
    await using proxy = await startSidecar(
      routeTo(server.origin, 'policies: { deadline: { after: 250ms } }'),
    );
    const logged = Promise.withResolvers<unknown>();
    await using mcp = await connect(proxy.port, (client) => {
      client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) =>
        logged.resolve(params.data),
      );
    });
    const open = await server.waitForRequest('GET');
    // A call that the deadline ends is the clock of this test.
    expect(await failureOf(mcp.client.callTool({ name: 'wait' }))).toBeDefined();
    expect(open.end).toBeUndefined();
    const [session] = server.sessions.values();
    await session?.server.sendLoggingMessage({ level: 'info', data: 'still here' });
    expect(await logged.promise).toBe('still here');
  });
});
