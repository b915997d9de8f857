/** OAuth's documents about an MCP server stand at the root of an origin: behind a prefix they must reach it, too. */
import { discoverOAuthProtectedResourceMetadata } from '@modelcontextprotocol/sdk/client/auth.js';
import { describe, expect, it } from 'vitest';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond, respondJson } from '../support/steps/answers.ts';

const configFor = (endpoint: string, more = ''): string => `
upstreams:
  tools:
    route: /tools
    listen: 127.0.0.1:0
    dialect: mcp
    endpoints: [{ url: "${endpoint}" }]
    ${more}
  plain: { route: /plain, endpoints: [{ url: "${endpoint}" }] }
`;

const targets = ({ requests }: ScriptedUpstream): string[] => requests.map(({ target }) => target);

const get = async (port: number, path: string): Promise<number> =>
  (await fetch(`http://127.0.0.1:${port}${path}`)).status;

describe('well-known documents', () => {
  it.each([
    ['', '/tools/mcp', '/mcp'],
    ['', '/tools', ''],
    ['', '/tools/', ''],
    ['', '/tools?x=1', '?x=1'],
    ['/base', '/tools/mcp', '/base/mcp'],
    ['/base', '/tools', '/base'],
  ])(
    'at an endpoint with the path "%s": what describes %s is asked for as "%s"',
    async (base, path, asked) => {
      await using upstream = await scriptedUpstream([respondJson({})]);
      await using proxy = await startSidecar(configFor(upstream.origin + base));
      for (const name of ['oauth-protected-resource', 'oauth-authorization-server', 'openid-configuration'])
        expect(await get(proxy.port, `/.well-known/${name}${path}`)).toBe(200);
      expect(targets(upstream)).toEqual([
        `/.well-known/oauth-protected-resource${asked}`,
        `/.well-known/oauth-authorization-server${asked}`,
        `/.well-known/openid-configuration${asked}`,
      ]);
    },
  );

  it.each([
    '/.well-known/oauth-protected-resource',
    '/.well-known/oauth-protected-resource/toolsmith',
    '/.well-known/oauth-protected-resource/plain/x',
    '/.well-known/other/tools/mcp',
    '/.well-known/oauth-protected-resources/tools/mcp',
  ])('%s describes nothing here', async (path) => {
    await using upstream = await scriptedUpstream([respondJson({})]);
    await using proxy = await startSidecar(configFor(upstream.origin));
    expect(await get(proxy.port, path)).toBe(404);
    expect(upstream.requests).toEqual([]);
  });

  it('on a listener of its own are asked for as they are', async () => {
    await using upstream = await scriptedUpstream([respondJson({})]);
    await using proxy = await startSidecar(configFor(upstream.origin));
    const own = proxy.sidecar.dataPlane.address('tools')?.port ?? 0;
    expect(await get(own, '/.well-known/oauth-protected-resource/mcp')).toBe(200);
    expect(targets(upstream)).toEqual(['/.well-known/oauth-protected-resource/mcp']);
  });

  it('cannot be used to leave a base path', async () => {
    await using upstream = await scriptedUpstream([respondJson({})]);
    await using proxy = await startSidecar(configFor(`${upstream.origin}/base`));
    const path = '/.well-known/oauth-protected-resource/tools/%2e%2e/secret';
    expect((await request(proxy.port, { path })).status).toBe(400);
    expect(upstream.requests).toEqual([]);
  });
});

describe('rewriting', () => {
  const server = (origin: () => string) =>
    scriptedUpstream(({ target }) =>
      target.startsWith('/.well-known/')
        ? respondJson({ resource: `${origin()}/mcp`, authorization_servers: ['https://auth.test'] })
        : respond({
            status: 401,
            headers: {
              'www-authenticate': `Bearer realm="x", resource_metadata="${origin()}/.well-known/oauth-protected-resource/mcp"`,
            },
          }),
    );

  it.each([true, false])('rewriteMetadata: %s', async (rewrite) => {
    let origin = '';
    await using upstream = await server(() => origin);
    ({ origin } = upstream);
    await using proxy = await startSidecar(configFor(origin, `mcp: { rewriteMetadata: ${rewrite} }`));
    const ours = `http://127.0.0.1:${proxy.port}`;
    const refused = await fetch(`${ours}/tools/mcp`, { method: 'POST', body: '{}' });
    const address = rewrite
      ? `${ours}/.well-known/oauth-protected-resource/tools/mcp`
      : `${origin}/.well-known/oauth-protected-resource/mcp`;
    expect(refused.headers.get('www-authenticate')).toBe(`Bearer realm="x", resource_metadata="${address}"`);
    const metadata = await discoverOAuthProtectedResourceMetadata(`${ours}/tools/mcp`);
    expect(metadata.resource).toBe(rewrite ? `${ours}/tools/mcp` : `${origin}/mcp`);
    expect(metadata.authorization_servers).toEqual(['https://auth.test']);
  });
});
