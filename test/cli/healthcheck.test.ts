import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { adminAddress } from '../../src/cli/admin-address.ts';
import { httpUrl } from '../../src/cli/urls.ts';
import { configFile, inProcess, minimalConfig, outrigger, runSidecar } from './fixture.ts';

describe('outrigger healthcheck', () => {
  it('exits with 0 while the sidecar runs, with 1 when it does not', async () => {
    const file = configFile(minimalConfig());
    const sidecar = await runSidecar(['-c', file]);
    const env = { OUTRIGGER__SERVER__ADMIN: `0.0.0.0:${sidecar.adminPort}` };
    const well = await outrigger(['healthcheck', '-c', file], { env });
    expect(well).toEqual({ code: 0, stdout: `ok: ${sidecar.adminUrl}/health answered 200\n`, stderr: '' });
    const ready = await inProcess([
      'healthcheck',
      '--ready',
      '-c',
      file,
      '--set',
      `server.admin=127.0.0.1:${sidecar.adminPort}`,
    ]);
    expect(ready).toEqual({ code: 0, stdout: `ok: ${sidecar.adminUrl}/ready answered 200\n`, stderr: '' });
    await sidecar[Symbol.asyncDispose]();
    const gone = await outrigger(['healthcheck', '-c', file], { env });
    expect([gone.code, gone.stdout]).toEqual([1, '']);
    expect(gone.stderr).toContain(`not well: ${sidecar.adminUrl}/health: connect ECONNREFUSED`);
  });

  it('finds the sidecar although its file has been spoiled meanwhile', async () => {
    const file = configFile(minimalConfig());
    await using sidecar = await runSidecar(['-c', file]);
    const admin = `127.0.0.1:${sidecar.adminPort}`;
    writeFileSync(
      file,
      `server: { listn: 3, admin: '${admin}' }\nupstreams: { a: { credentials: '\${MISSING}' } }`,
    );
    expect(await inProcess(['healthcheck', '-c', file])).toMatchObject({ code: 0 });
  });

  it('exits with 1 for an answer that is not 2xx', async () => {
    const file = configFile(minimalConfig());
    await using sidecar = await runSidecar(['-c', file]);
    const { code, stderr } = await inProcess(['healthcheck', '--url', `${sidecar.adminUrl}/nothing-here`]);
    expect([code, stderr]).toEqual([1, `not well: ${sidecar.adminUrl}/nothing-here answered 404\n`]);
  });

  it('gives up after two seconds of silence', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    server.on('connection', (socket) => socket.unref());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { code, stderr } = await inProcess(['healthcheck', '--url', `http://127.0.0.1:${port}/health`]);
    expect([code, stderr]).toEqual([1, `not well: http://127.0.0.1:${port}/health: no answer within 2 s\n`]);
  });

  it('cannot know a port that the system chooses', async () => {
    const { code, stderr } = await inProcess(['healthcheck', '-c', configFile(minimalConfig())]);
    expect(code).toBe(2);
    expect(stderr).toContain('use --url');
  });
});

describe('the address that is asked', () => {
  const addressOf = (text: string, env: Record<string, string> = {}) =>
    adminAddress({ files: [configFile(text)], env, sets: [] });

  it('is the configured one, interpolated, layered and with its default', () => {
    expect(addressOf('server: { admin: "[::1]:9191" }')).toEqual({ host: '::1', port: 9191 });
    expect(addressOf('server: { admin: "127.0.0.1:${PORT:-1}" }', { PORT: '9192' }).port).toBe(9192);
    expect(addressOf('upstreams: {}', { OUTRIGGER__SERVER__ADMIN: '127.0.0.1:9193' }).port).toBe(9193);
    expect(addressOf('upstreams: {}').port).toBe(9090);
  });

  it('is the default where the file cannot be read at all', () => {
    expect(addressOf('server: {{').port).toBe(9090);
    expect(addressOf('server: { admin: nonsense }').port).toBe(9090);
  });

  it.each([
    ['0.0.0.0', 'http://127.0.0.1:1'],
    ['*', 'http://127.0.0.1:1'],
    ['::', 'http://[::1]:1'],
    ['::1', 'http://[::1]:1'],
    ['10.1.2.3', 'http://10.1.2.3:1'],
    ['localhost', 'http://localhost:1'],
  ])('on %s is reached at %s', (host, url) => {
    expect(httpUrl({ host, port: 1 })).toBe(url);
  });
});
