/** Several MCP servers behind one upstream, each with sessions of its own. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  StreamableHTTPClientTransport,
  StreamableHTTPError,
} from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { expect, it } from 'vitest';
import { ownSidecar } from '../incidents/own-sidecar.ts';
import { failureOf } from './fixture.ts';
import { mcpServer } from './mcp-server.ts';
import type { TestMcpServer } from './mcp-server.ts';

const configFor = (servers: readonly string[], more = ''): string => {
  const endpoints = servers.map((url) => `{ url: "${url}" }`).join(', ');
  const policies = 'policies: { retry: { backoff: { initial: 0s, max: 0s } } }';
  return `upstreams: { api: { route: /api, dialect: mcp, endpoints: [${endpoints}], ${policies} } }\n${more}`;
};

async function connect(port: number): Promise<Client & AsyncDisposable> {
  const client = new Client({ name: 'test-client', version: '1.0.0' });
  await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/api/mcp`)));
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() });
}

const posts = ({ requests }: TestMcpServer): number =>
  requests.filter(({ method }) => method === 'POST').length;

it('a session stays at the server that began it, also after a reload', async () => {
  await using one = await mcpServer({ json: true, get: false });
  await using two = await mcpServer({ json: true, get: false });
  const servers = [one.origin, two.origin];
  await using own = await ownSidecar(configFor(servers));
  await using first = await connect(own.port);
  await using second = await connect(own.port);
  for (const client of [first, second, first]) await client.callTool({ name: 'echo', arguments: {} });
  await own.edit(configFor(servers, "logging: { access: 'off' }\n"));
  for (const client of [second, first, second]) await client.callTool({ name: 'echo', arguments: {} });
  expect([one.sessions.size, two.sessions.size]).toEqual([1, 1]);
  // initialize, initialized, and three calls each.
  expect([posts(one), posts(two)]).toEqual([5, 5]);
});

it('when its server is gone, another says that it does not know the session, and a new one is begun', async () => {
  await using two = await mcpServer({ json: true, get: false });
  const one = await mcpServer({ json: true, get: false });
  await using own = await ownSidecar(configFor([one.origin, two.origin]));
  await using client = await connect(own.port);
  expect([one.sessions.size, two.sessions.size]).toEqual([1, 0]);
  await one[Symbol.asyncDispose]();
  const raised = await failureOf(client.callTool({ name: 'echo', arguments: {} }));
  expect(raised).toBeInstanceOf(StreamableHTTPError);
  expect((raised as StreamableHTTPError).code).toBe(404);
  await using again = await connect(own.port);
  expect(await again.callTool({ name: 'echo', arguments: {} })).toMatchObject({ content: [{ text: '{}' }] });
});
