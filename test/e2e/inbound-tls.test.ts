import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';
import OpenAI from 'openai';
import { Agent as UndiciAgent, fetch as undiciFetch } from 'undici';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Sidecar } from '../../src/sidecar.ts';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { refuseUpgrade, upgrade } from '../support/steps/upgrades.ts';
import { testCa, tlsFile } from '../support/tls/identities.ts';
import type { ServerIdentity } from '../support/tls/identities.ts';

interface Certificate extends Disposable {
  readonly certFile: string;
  readonly keyFile: string;
  readonly folder: string;
  /** Puts other files in the same place, as a renewal does. */
  become(identity: ServerIdentity): void;
}

/** A certificate in files of its own, which a test may replace. */
function certificate(identity: ServerIdentity = 'server'): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'outrigger-cert-'));
  const certFile = join(folder, 'cert.pem');
  const keyFile = join(folder, 'key.pem');
  const become = (next: ServerIdentity): void => {
    copyFileSync(tlsFile(`${next}.cert.pem`), certFile);
    copyFileSync(tlsFile(`${next}.key.pem`), keyFile);
  };
  become(identity);
  return {
    certFile,
    keyFile,
    folder,
    become,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

const config = (cert: Certificate, origin: string, more = ''): string => `
server:
  tls: { certFile: ${cert.certFile}, keyFile: ${cert.keyFile} }
  ${more}
upstreams: { api: { route: /api, endpoints: [{ url: "${origin}" }] } }
`;

const trusting = { ca: testCa, host: '127.0.0.1' };

/** Common name on the certificate that a port shows. */
async function issuerAt(port: number): Promise<string | undefined> {
  const agent = new Agent({ maxCachedSessions: 0 });
  const sending = httpsRequest({ port, host: '127.0.0.1', path: '/api/x', rejectUnauthorized: false, agent });
  sending.end();
  const [response] = (await once(sending, 'response')) as [IncomingMessage];
  const peer = (response.socket as TLSSocket).getPeerCertificate();
  await text(response);
  agent.destroy();
  return String(peer.issuer.CN);
}

const OF_CA = 'Test CA, trust nowhere';
const SELF_SIGNED = 'localhost';

describe('a data plane that speaks TLS', () => {
  it('serves SDKs, streams included', async () => {
    using cert = certificate();
    await using upstream = await scriptedUpstream([respondJson({ object: 'list', data: [] })]);
    await using proxy = await startSidecar(config(cert, upstream.origin));
    const dispatcher = new UndiciAgent({ connect: { ca: testCa } });
    const openai = new OpenAI({
      apiKey: 'sk',
      baseURL: `https://127.0.0.1:${proxy.port}/api/v1`,
      maxRetries: 0,
      fetch: undiciFetch as unknown as typeof fetch,
      fetchOptions: { dispatcher } as never,
    });
    expect((await openai.models.list()).data).toEqual([]);
    await dispatcher.close();
  });

  it('keeps its connections, and ends the call upstream when a client leaves', async () => {
    using cert = certificate();
    const answer = controlledStream();
    await using upstream = await scriptedUpstream([respond({ body: 'ok' }), answer]);
    await using proxy = await startSidecar(config(cert, upstream.origin));
    await using client = await rawClient(proxy.port, { tls: trusting });
    expect(await (await client.request({ path: '/api/x' })).text()).toBe('ok');
    const response = client.request({ path: '/api/x' });
    await answer.head();
    await answer.write('some');
    expect(String((await (await response).nextChunk())?.bytes)).toBe('some');
    client.destroy();
    await upstream.waitForAbort();
    expect((await proxy.waitForEvent('exchange-ended', 2))[1]?.result).toBe('aborted');
  });

  it('breaks off visibly what the upstream breaks off', async () => {
    using cert = certificate();
    const answer = controlledStream();
    await using upstream = await scriptedUpstream([answer]);
    await using proxy = await startSidecar(config(cert, upstream.origin));
    await using client = await rawClient(proxy.port, { tls: trusting });
    const response = client.request({ path: '/api/x' });
    await answer.head();
    await answer.write('some');
    await (await response).waitForBytes(4);
    await answer.cut();
    expect(await (await response).ended()).not.toBe('complete');
  });

  it('breaks off an answer without framing (HTTP/1.0) by a reset, not by an orderly end', async () => {
    using cert = certificate();
    const answer = controlledStream();
    await using upstream = await scriptedUpstream([answer]);
    await using proxy = await startSidecar(config(cert, upstream.origin));
    await using client = await rawClient(proxy.port, { tls: trusting });
    const response = client.response();
    await client.send('GET /api/x HTTP/1.0\r\n\r\n');
    await answer.head();
    await answer.write('some');
    await (await response).waitForBytes(4);
    await answer.cut();
    expect(await (await response).ended()).toBe('reset');
  });

  it('carries WebSockets, and refuses them with the answer of the upstream', async () => {
    using cert = certificate();
    await using upstream = await scriptedUpstream([
      refuseUpgrade({ status: 403, body: 'x'.repeat(1024 * 1024) }),
      upgrade({ firstBytes: 'hello' }),
    ]);
    await using proxy = await startSidecar(config(cert, upstream.origin));
    const refused = new WebSocket(`wss://127.0.0.1:${proxy.port}/api/x`, { ca: testCa });
    const [, response] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(await text(response)).toHaveLength(1024 * 1024);
    await using client = await rawClient(proxy.port, { tls: trusting });
    const headers = { connection: 'upgrade', upgrade: 'websocket' };
    expect((await client.request({ path: '/api/x', headers })).status).toBe(101);
    expect(String(await client.nextBytes())).toBe('hello');
    await client.send('and back');
    expect(String(await client.nextBytes())).toBe('and back');
  });

  it('tells upstreams of its own that the client came by TLS', async () => {
    using cert = certificate();
    await using upstream = await scriptedUpstream([respond()]);
    const yaml = config(cert, upstream.origin).replace('route: /api,', 'route: /api, forwarded: true,');
    await using proxy = await startSidecar(yaml);
    await using client = await rawClient(proxy.port, { tls: trusting });
    await client.request({ path: '/api/x' });
    expect(upstream.requests[0]?.header('x-forwarded-proto')).toBe('https');
  });
});

describe('a client that does not speak TLS properly', () => {
  it('but plain HTTP is turned away at once, and others are served on', async () => {
    using cert = certificate();
    await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
    await using proxy = await startSidecar(config(cert, upstream.origin));
    await using plain = await rawClient(proxy.port);
    await plain.send('GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(await plain.waitForEnd()).toBeDefined();
    await using client = await rawClient(proxy.port, { tls: trusting });
    expect(await (await client.request({ path: '/api/x' })).text()).toBe('ok');
    expect(upstream.requests).toHaveLength(1);
  });

  it('but says nothing has as long as for a request head', async () => {
    using cert = certificate();
    await using proxy = await startSidecar(config(cert, 'http://127.0.0.1:1', 'headersTimeout: 300ms'));
    const socket = connect(proxy.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.on('error', () => undefined).resume();
    await once(socket, 'close');
  });

  it('does not hold up a drain', async () => {
    using cert = certificate();
    await using proxy = await startSidecar(config(cert, 'http://127.0.0.1:1', 'drainTimeout: 5m'));
    const silent = connect(proxy.port, '127.0.0.1');
    await once(silent, 'connect');
    await using idle = await rawClient(proxy.port, { tls: trusting });
    expect(await proxy.sidecar.stop()).toEqual({ brokenOff: 0 });
    await idle.waitForEnd();
    silent.destroy();
  });
});

describe('the certificate', () => {
  it('that cannot be read keeps the sidecar from starting, with its path in the message', async () => {
    using cert = certificate();
    rmSync(cert.keyFile);
    await expect(startSidecar(config(cert, 'http://127.0.0.1:1'))).rejects.toThrow(cert.keyFile);
  });

  it('that does not fit its key keeps the sidecar from starting', async () => {
    using cert = certificate();
    copyFileSync(tlsFile('client.key.pem'), cert.keyFile);
    await expect(startSidecar(config(cert, 'http://127.0.0.1:1'))).rejects.toThrow(/key values mismatch/i);
  });

  it('that was renewed in its place is shown after a reload', async () => {
    using cert = certificate('server');
    await using upstream = await scriptedUpstream([respond()]);
    await using proxy = await startSidecar(config(cert, upstream.origin));
    expect(await issuerAt(proxy.port)).toBe(OF_CA);
    cert.become('self-signed');
    await proxy.sidecar.reload('test');
    expect(await issuerAt(proxy.port)).toBe(SELF_SIGNED);
  });

  it('under another name in the configuration is shown after a reload; open connections live on', async () => {
    using cert = certificate('server');
    using next = certificate('self-signed');
    await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
    await using running = await fromFile(cert.folder, config(cert, upstream.origin));
    const { port } = running;
    await using client = await rawClient(port, { tls: trusting });
    expect(await (await client.request({ path: '/api/x' })).text()).toBe('ok');
    expect(await issuerAt(port)).toBe(OF_CA);
    expect(await running.reloadWith(config(next, upstream.origin))).toMatchObject({ applied: true });
    expect(await issuerAt(port)).toBe(SELF_SIGNED);
    expect(await (await client.request({ path: '/api/x' })).text()).toBe('ok');
  });

  it('that is not one leaves the old one in force, and the reload says so', async () => {
    using cert = certificate('server');
    using next = certificate('server');
    writeFileSync(next.certFile, 'not a certificate');
    await using upstream = await scriptedUpstream([respond()]);
    await using running = await fromFile(cert.folder, config(cert, upstream.origin));
    const result = await running.reloadWith(config(next, upstream.origin));
    expect(result.applied).toBe(false);
    expect(await issuerAt(running.port)).toBe(OF_CA);
  });

  it('that is not one leaves everything else of the old configuration in force, too', async () => {
    using cert = certificate('server');
    using next = certificate('server');
    writeFileSync(next.certFile, 'not a certificate');
    await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
    await using running = await fromFile(cert.folder, config(cert, upstream.origin));
    await running.reloadWith(config(next, upstream.origin).replace('route: /api', 'route: /other'));
    await using client = await rawClient(running.port, { tls: trusting });
    expect((await client.request({ path: '/api/x' })).status).toBe(200);
  });

  it('that a reload adds is shown from then on, or the need of a new start is told of', async () => {
    using cert = certificate('server');
    await using upstream = await scriptedUpstream([respond()]);
    const plain = config(cert, upstream.origin).replace(/^ *tls: .*$/m, '  keepAlive: 72s');
    await using running = await fromFile(cert.folder, plain);
    await running.reloadWith(config(cert, upstream.origin));
    if (!running.names.includes('restart-needed')) expect(await issuerAt(running.port)).toBe(OF_CA);
  });
});

interface FromFile extends AsyncDisposable {
  readonly port: number;
  /** Names of all events so far. */
  readonly names: readonly string[];
  reloadWith(yaml: string): ReturnType<Sidecar['reload']>;
}

/** A sidecar whose configuration is a file, which a test may rewrite. */
async function fromFile(folder: string, yaml: string): Promise<FromFile> {
  const file = join(folder, 'outrigger.yaml');
  writeFileSync(file, yaml);
  const sets = ['server.listen=127.0.0.1:0', 'server.admin=127.0.0.1:0'];
  const sidecar = await Sidecar.start({
    input: { files: [file], texts: [], env: {}, sets },
    watch: false,
    logTo: join(folder, 'log'),
  });
  const names: string[] = [];
  sidecar.bus.onAny((name) => names.push(name));
  return {
    names,
    port: sidecar.dataPlane.address()?.port ?? 0,
    reloadWith: (next) => {
      writeFileSync(file, next);
      return sidecar.reload('test');
    },
    [Symbol.asyncDispose]: () => sidecar.close(),
  };
}
