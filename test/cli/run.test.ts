import { describe, expect, it } from 'vitest';
import { banner } from '../../src/cli/banner.ts';
import { configSchema } from '../../src/config/schema.ts';
import { tlsFile } from '../support/tls/identities.ts';
import { configFile, minimalConfig, outrigger, runSidecar } from './fixture.ts';

const URL_OF_NOTHING = 'http://127.0.0.1:9';

function bannerOf(config: object, own: Record<string, number> = {}): string {
  const address = (upstream?: string) => {
    if (upstream === undefined) return { host: '0.0.0.0', port: 8080 };
    const port = own[upstream];
    return port === undefined ? undefined : { host: '127.0.0.1', port };
  };
  return banner({
    supervisor: { config: configSchema.parse(config) },
    dataPlane: { address },
    admin: { address: () => ({ host: '::', port: 9090 }) },
  });
}

describe('the banner', () => {
  it('names the variables of known providers, recognised by name, route or host', () => {
    const text = bannerOf({
      upstreams: {
        openai: { route: '/openai', endpoints: [{ url: URL_OF_NOTHING }] },
        claude: { route: '/claude', endpoints: [{ url: 'https://api.anthropic.com' }] },
        google: { route: '/gemini', endpoints: [{ url: URL_OF_NOTHING }] },
        tools: { route: '/tools', endpoints: [{ url: URL_OF_NOTHING }] },
      },
    });
    expect(text.split('\n').slice(1)).toEqual([
      '  data plane   http://127.0.0.1:8080',
      '  admin plane  http://[::1]:9090  (/ready, /metrics, /admin/upstreams)',
      '  point your agent here',
      '    openai  OPENAI_BASE_URL=http://127.0.0.1:8080/openai/v1',
      '    claude  ANTHROPIC_BASE_URL=http://127.0.0.1:8080/claude',
      '    google  GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:8080/gemini',
      '    tools   http://127.0.0.1:8080/tools',
      '',
    ]);
  });

  it('leaves out what the endpoint adds by itself', () => {
    const endpoints = [{ url: 'https://api.openai.com/v1' }];
    const text = bannerOf({ upstreams: { openai: { route: '/', endpoints } } });
    expect(text).toContain('OPENAI_BASE_URL=http://127.0.0.1:8080\n');
  });

  it('shows a listener of its own, without a prefix', () => {
    const upstreams = { tools: { listen: '127.0.0.1:0', endpoints: [{ url: URL_OF_NOTHING }] } };
    expect(bannerOf({ upstreams }, { tools: 4711 })).toContain('tools  http://127.0.0.1:4711\n');
  });

  it('speaks of https where the data plane does', () => {
    const server = { tls: { certFile: tlsFile('server.cert.pem'), keyFile: tlsFile('server.key.pem') } };
    expect(bannerOf({ server })).toContain('data plane   https://127.0.0.1:8080\n  admin plane  http://');
  });
});

describe('outrigger run', () => {
  it('keeps people and programs apart: a banner on stderr, JSON lines on stdout', async () => {
    const file = configFile(
      minimalConfig(`{ tools: { route: /tools, endpoints: [{ url: '${URL_OF_NOTHING}' }] } }`),
    );
    await using sidecar = await runSidecar(['-c', file]);
    const started = JSON.parse((await sidecar.child.waitForLine(/"msg":"started"/)).input) as object;
    expect(started).toMatchObject({ data: { port: sidecar.port }, admin: { port: sidecar.adminPort } });
    expect(sidecar.child.stderr).toContain(`tools  http://127.0.0.1:${sidecar.port}/tools\n`);
  });

  it('refuses an invalid configuration with its position, exit code 1 and no stack', async () => {
    const file = configFile('server: { drainTimeout: soon }');
    const { code, stdout, stderr } = await outrigger(['run', '-c', file]);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(
      `outrigger: cannot start\n${file}:1:25: server.drainTimeout: expected a duration`,
    );
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});
