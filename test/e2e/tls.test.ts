import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { tlsStall } from '../support/dead-ports.ts';
import { rawClient, request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond } from '../support/steps/answers.ts';
import { resetOnAccept } from '../support/steps/connections.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { upgrade } from '../support/steps/upgrades.ts';
import { serverTlsOptions, tlsFile } from '../support/tls/identities.ts';
import type { ServerIdentity } from '../support/tls/identities.ts';

const CA = `caFile: ${tlsFile('ca.cert.pem')}`;
const RETRY_SOON = 'policies: { retry: { maxRetries: 2, backoff: { initial: 1ms, max: 2ms } } }';

/** @param tls options of the upstream's `tls` section */
const routeTo = (origin: string, tls: string, more = ''): string => `
upstreams:
  safe:
    route: /safe
    endpoints: [{ url: "${origin}" }]
    tls: { ${tls} }
    ${more}
`;

interface NameServer extends AsyncDisposable {
  readonly port: number;
  /** The name each connection asked for (SNI); undefined where it named none. */
  readonly names: (string | undefined)[];
  /** Host field of each request. */
  readonly hosts: (string | undefined)[];
}

/** An HTTPS server that notes what it was called. */
async function nameServer(identity: ServerIdentity = 'server'): Promise<NameServer> {
  const names: NameServer['names'] = [];
  const hosts: NameServer['hosts'] = [];
  const server = createServer(serverTlsOptions({ identity }), (req, res) => {
    hosts.push(req.headers.host);
    res.end('ok');
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    // Node says false where no name was given; the types know nothing of it.
    names.push((socket as { servername?: string | false }).servername || undefined);
  });
  server.on('tlsClientError', () => names.push('refused by the client'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const dispose = async (): Promise<void> => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  return { port: (server.address() as AddressInfo).port, names, hosts, [Symbol.asyncDispose]: dispose };
}

describe('the certificate of the upstream', () => {
  it('is good when the configured authority signed it, and its connection is used again', async () => {
    await using upstream = await scriptedUpstream([respond({ body: 'ok' })], { tls: {} });
    await using proxy = await startSidecar(routeTo(upstream.origin, CA));
    for (let n = 0; n < 3; n++)
      expect(await (await request(proxy.port, { path: '/safe/x' })).text()).toBe('ok');
    expect(upstream.connections.opened).toBe(1);
  });

  it.each([
    ['expired', 'CERT_HAS_EXPIRED'],
    ['wrong-host', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['self-signed', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['client', 'INVALID_PURPOSE'],
  ] as const)(
    'is not when it is of the kind %s (%s): 502 at once, and no second try',
    async (identity, code) => {
      await using upstream = await scriptedUpstream([respond()], { tls: { identity } });
      await using proxy = await startSidecar(routeTo(upstream.origin, CA, RETRY_SOON));
      const response = await request(proxy.port, { path: '/safe/x' });
      expect([response.status, response.header('x-outrigger-code')]).toEqual([502, 'tls_certificate_error']);
      expect(response.header('proxy-status')).toContain('error=tls_certificate_error');
      expect(response.header('x-outrigger-attempts')).toBe('1');
      expect(await response.text()).toContain(code);
      const [attempt] = proxy.eventsNamed('attempt-ended');
      expect(attempt?.attempt.verdict).toEqual({ class: 'permanent', result: 'failure' });
      expect(upstream.requests).toEqual([]);
    },
  );

  it('is not when no authority is configured that knows it', async () => {
    await using upstream = await scriptedUpstream([respond()], { tls: {} });
    await using proxy = await startSidecar(routeTo(upstream.origin, ''));
    const response = await request(proxy.port, { path: '/safe/x' });
    expect([response.status, response.header('x-outrigger-code')]).toEqual([502, 'tls_certificate_error']);
  });

  it('may be signed by itself where it is its own authority', async () => {
    await using upstream = await scriptedUpstream([respond()], { tls: { identity: 'self-signed' } });
    await using proxy = await startSidecar(
      routeTo(upstream.origin, `caFile: ${tlsFile('self-signed.cert.pem')}`),
    );
    expect((await request(proxy.port, { path: '/safe/x' })).status).toBe(200);
  });
});

describe('a certificate of our own', () => {
  const own = `${CA}, certFile: ${tlsFile('client.cert.pem')}, keyFile: ${tlsFile('client.key.pem')}`;
  const demanding = { tls: { requireClientCertificate: true } };

  it('is shown to an upstream that asks for one, over new connections too', async () => {
    await using upstream = await scriptedUpstream([respond({ body: 'known', afterwards: 'fin' })], demanding);
    await using proxy = await startSidecar(routeTo(upstream.origin, own));
    for (let n = 0; n < 2; n++)
      expect(await (await request(proxy.port, { path: '/safe/x' })).text()).toBe('known');
    expect(upstream.connections.opened).toBe(2);
  });

  it('is missed by such an upstream: 502, and it sees no request', async () => {
    await using upstream = await scriptedUpstream([respond()], demanding);
    await using proxy = await startSidecar(routeTo(upstream.origin, CA, 'policies: { retry: false }'));
    const response = await request(proxy.port, { path: '/safe/x' });
    // In TLS 1.3 a client is done before its certificate is missed, and then only sees the connection end.
    expect([response.status, response.header('x-outrigger-code')]).toEqual([502, 'connection_reset']);
    expect(upstream.requests).toEqual([]);
  });
});

describe('the name that is asked for (SNI)', () => {
  it.each([
    ['is the host of the URL', 'localhost', '', 'server', 'localhost'],
    ['is none for an address', '127.0.0.1', '', 'server', undefined],
    ['is the configured one, for an address', '127.0.0.1', 'localhost', 'server', 'localhost'],
    [
      'is the configured one, for a host',
      'localhost',
      'elsewhere.invalid',
      'wrong-host',
      'elsewhere.invalid',
    ],
  ] as const)('%s', async (_, host, serverName, identity, name) => {
    await using upstream = await nameServer(identity);
    const tls = serverName === '' ? CA : `${CA}, serverName: ${serverName}`;
    await using proxy = await startSidecar(routeTo(`https://${host}:${upstream.port}`, tls));
    expect(await (await request(proxy.port, { path: '/safe/x' })).text()).toBe('ok');
    expect(upstream.names).toEqual([name]);
    expect(upstream.hosts).toEqual([`${host}:${upstream.port}`]);
  });

  it('is also what the certificate is checked for', async () => {
    await using upstream = await nameServer('server');
    const tls = `${CA}, serverName: elsewhere.invalid`;
    await using proxy = await startSidecar(routeTo(`https://localhost:${upstream.port}`, tls));
    const response = await request(proxy.port, { path: '/safe/x' });
    expect(response.header('x-outrigger-code')).toBe('tls_certificate_error');
  });

  it.each(['localhost', '127.0.0.1'])(
    'is not the Host that a client sends with preserveHost, and changing Hosts share a connection (%s)',
    async (host) => {
      await using upstream = await nameServer();
      await using proxy = await startSidecar(
        routeTo(`https://${host}:${upstream.port}`, CA, `preserveHost: true\n    ${RETRY_SOON}`),
      );
      const hosts = ['one.test', 'two.test:8443', 'localhost', '10.0.0.1'];
      for (const name of hosts) {
        const response = await request(proxy.port, { path: '/safe/x', headers: { host: name } });
        expect(await response.text()).toBe('ok');
        expect(response.header('x-outrigger-attempts')).toBe('1');
      }
      expect(upstream.hosts).toEqual(hosts);
      expect(upstream.names).toEqual([host === 'localhost' ? 'localhost' : undefined]);
    },
  );

  it('changing Hosts with preserveHost do not disturb each other at the same time either', async () => {
    const first = controlledStream();
    await using upstream = await scriptedUpstream([first, respond({ body: 'second' })], { tls: {} });
    await using proxy = await startSidecar(routeTo(upstream.origin, CA, 'preserveHost: true'));
    const one = request(proxy.port, { path: '/safe/x', headers: { host: 'one.test' } });
    await first.head();
    await first.write('be');
    const two = await request(proxy.port, { path: '/safe/x', headers: { host: 'two.test' } });
    expect(await two.text()).toBe('second');
    await first.write('fore');
    await first.end();
    expect(await (await one).text()).toBe('before');
  });
});

describe('the handshake', () => {
  it('that never ends is given up in time, and the next request does not wait for it', async () => {
    await using upstream = await tlsStall();
    const policies = 'policies: { retry: false, attemptTimeout: { connect: 150ms } }';
    await using proxy = await startSidecar(routeTo(`https://127.0.0.1:${upstream.port}`, CA, policies));
    for (let n = 0; n < 2; n++) {
      const response = await request(proxy.port, { path: '/safe/x', method: 'POST', body: 'x' });
      expect([response.status, response.header('x-outrigger-code')]).toEqual([504, 'connection_timeout']);
    }
  });

  it('with a port that speaks no TLS fails as what it is', async () => {
    await using upstream = await scriptedUpstream([respond()]);
    await using proxy = await startSidecar(
      routeTo(`https://127.0.0.1:${upstream.port}`, CA, 'policies: { retry: false }'),
    );
    const response = await request(proxy.port, { path: '/safe/x' });
    expect([response.status, response.header('x-outrigger-code')]).toEqual([502, 'tls_protocol_error']);
  });

  it('that is reset has sent nothing: even a POST is tried again', async () => {
    await using upstream = await scriptedUpstream([resetOnAccept(), respond({ body: 'ok' })], { tls: {} });
    await using proxy = await startSidecar(routeTo(upstream.origin, CA, RETRY_SOON));
    const response = await request(proxy.port, { path: '/safe/x', method: 'POST', body: 'x' });
    expect([await response.text(), response.header('x-outrigger-attempts')]).toEqual(['ok', '2']);
    expect(upstream.requests).toHaveLength(1);
  });
});

describe('what goes over TLS', () => {
  it('a client that leaves ends the call at the upstream', async () => {
    const answer = controlledStream();
    await using upstream = await scriptedUpstream([answer], { tls: {} });
    await using proxy = await startSidecar(routeTo(upstream.origin, CA));
    await using client = await rawClient(proxy.port);
    const response = client.request({ path: '/safe/x' });
    await answer.head();
    await response;
    client.destroy();
    await upstream.waitForAbort();
    await upstream.waitForOpenConnections(0);
  });

  it('a connection that breaks below TLS in the middle of an answer breaks that of the client', async () => {
    const answer = controlledStream();
    await using upstream = await scriptedUpstream([answer], { tls: {} });
    await using proxy = await startSidecar(routeTo(upstream.origin, CA));
    const response = request(proxy.port, { path: '/safe/x' });
    await answer.head();
    await answer.write('some');
    await (await response).waitForBytes(4);
    await answer.reset();
    expect(await (await response).ended()).not.toBe('complete');
    expect((await proxy.waitForEvent('exchange-ended'))[0]?.reason).toBe('response_incomplete');
  });

  it('protocols can be switched', async () => {
    await using upstream = await scriptedUpstream([upgrade({ firstBytes: 'hello' })], { tls: {} });
    await using proxy = await startSidecar(routeTo(upstream.origin, CA));
    await using client = await rawClient(proxy.port);
    const headers = { connection: 'upgrade', upgrade: 'websocket' };
    expect((await client.request({ path: '/safe/x', headers })).status).toBe(101);
    expect(String(await client.nextBytes())).toBe('hello');
    await client.send('and back');
    expect(String(await client.nextBytes())).toBe('and back');
    client.destroy();
    await upstream.waitForOpenConnections(0);
    expect((await proxy.waitForEvent('exchange-ended'))[0]?.bytes).toBe('helloand back'.length);
  });
});
