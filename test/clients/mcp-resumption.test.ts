import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { describe, expect, it } from 'vitest';
import { startSidecar } from '../support/start-sidecar.ts';
import { mcpServer } from './mcp-server.ts';

const routeTo = (origin: string): string => `
upstreams:
  tools:
    route: /tools
    dialect: mcp
    endpoints: [{ url: "${origin}" }]
    policies: { resume: { initial: 1ms, max: 2ms } }
`;

/** A client that has been initialized, and the methods of all requests that it made. */
async function connect(port: number, prepare: (client: Client) => void = () => undefined) {
  const methods: string[] = [];
  const transport = new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/tools/mcp`), {
    fetch: (url, init) => {
      methods.push(init?.method ?? 'GET');
      return fetch(url, init);
    },
  });
  const client = new Client({ name: 'test-client', version: '1.0.0' });
  prepare(client);
  await client.connect(transport);
  return { client, methods, [Symbol.asyncDispose]: () => client.close() };
}

describe('a broken stream of an MCP server, through the sidecar', () => {
  it('is resumed where it was a call’s, and the client notices nothing', async () => {
    await using server = await mcpServer({ resumable: true });
    await using proxy = await startSidecar(routeTo(server.origin));
    await using mcp = await connect(proxy.port);
    await server.waitForRequest('GET');
    const heard = Promise.withResolvers<void>();
    const onprogress = (): void => heard.resolve();
    const result = mcp.client.callTool({ name: 'wait' }, undefined, { onprogress });
    const call = await server.waitFor(() => server.calls[0], 'the call');
    const stream = server.requests.filter(({ method }) => method === 'POST').at(-1);
    await call.progress(1, 2);
    await heard.promise;
    const asked = mcp.methods.length;
    stream?.socket.destroy();
    const resumed = await server.waitForRequest('GET', 2);
    expect(resumed.headers['last-event-id']).toMatch(/_\d+$/);
    expect(resumed.headers['mcp-session-id']).toBe(stream?.headers['mcp-session-id']);
    expect(resumed.headers['content-type']).toBeUndefined();
    call.answer('after the break');
    expect(await result).toMatchObject({ content: [{ text: 'after the break' }] });
    expect(mcp.methods.length).toBe(asked);
    expect(server.calls.length).toBe(1);
  });

  it('is resumed where it was the one at GET, also more than once', async () => {
    await using server = await mcpServer({ resumable: true, json: true });
    await using proxy = await startSidecar(routeTo(server.origin));
    const seen: unknown[] = [];
    let wanted = Promise.withResolvers<void>();
    await using mcp = await connect(proxy.port, (client) => {
      client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
        seen.push(params.data);
        wanted.resolve();
      });
    });
    const say = async (data: string): Promise<void> => {
      wanted = Promise.withResolvers();
      const [session] = server.sessions.values();
      await session?.server.sendLoggingMessage({ level: 'info', data });
      await wanted.promise;
    };
    for (const round of [1, 2, 3]) {
      const open = await server.waitForRequest('GET', round);
      await say(`round ${round}`);
      open.socket.destroy();
    }
    await server.waitForRequest('GET', 4);
    await say('the end');
    expect(seen).toEqual(['round 1', 'round 2', 'round 3', 'the end']);
    expect(mcp.methods.filter((method) => method === 'GET')).toEqual(['GET']);
    expect(await proxy.metric('outrigger_stream_resumptions_total', { result: 'resumed' })).toBe(3);
  });
});
