import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/core/clock.ts';
import { addressOf } from '../../../src/health/probes/address.ts';
import { runProbe } from '../../../src/health/probes/probe.ts';
import type { Probe, ProbeResult } from '../../../src/health/probes/probe.ts';
import { tcpProbe } from '../../../src/health/probes/tcp.ts';
import { tlsProbe } from '../../../src/health/probes/tls.ts';
import { scriptedUpstream } from '../../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../../support/scripted-upstream.ts';
import { clientIdentity, testCa } from '../../support/tls/identities.ts';
import type { UpstreamTls } from '../../support/tls/identities.ts';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
});

const run = (probe: Probe, timeoutMs = 2_000): Promise<ProbeResult> =>
  runProbe(probe, { clock: systemClock, timeoutMs });

async function server(tls?: UpstreamTls): Promise<ScriptedUpstream> {
  const upstream = await scriptedUpstream([], tls ? { tls } : {});
  opened.push(upstream);
  return upstream;
}

describe('a tcp probe', () => {
  it('passes where somebody accepts connections, and leaves none open', async () => {
    const upstream = await server();
    const result = await run(tcpProbe(addressOf(upstream.origin), systemClock));
    expect(result).toMatchObject({ ok: true, detail: 'connected' });
    expect(result.durationMs).toBeGreaterThanOrEqual(0);
    await upstream.waitForOpenConnections(0);
  });

  it('fails with the reason where nobody listens', async () => {
    const upstream = await server();
    const address = addressOf(upstream.origin);
    upstream.stopListening();
    const result = await run(tcpProbe(address, systemClock));
    expect(result.ok).toBe(false);
    expect(result.detail).toContain('ECONNREFUSED');
  });

  it('looks at another port of the host where it is told to', async () => {
    const upstream = await server();
    const address = addressOf('http://127.0.0.1:1', upstream.port);
    expect((await run(tcpProbe(address, systemClock))).ok).toBe(true);
  });

  it('fails with the reason where the host has no such name', async () => {
    const result = await run(tcpProbe({ host: 'no-such-host.invalid', port: 80 }, systemClock));
    expect(result.ok).toBe(false);
    expect(result.detail).toMatch(/ENOTFOUND|EAI_AGAIN/);
  });

  it('ends at once, without connection, when it is broken off', async () => {
    const upstream = await server();
    const abort = new AbortController();
    const pending = tcpProbe(addressOf(upstream.origin), systemClock)(abort.signal);
    abort.abort();
    expect(await pending).toMatchObject({ ok: false, detail: 'broken off' });
    const late = await tcpProbe(addressOf(upstream.origin), systemClock)(AbortSignal.abort());
    expect(late.ok).toBe(false);
    await upstream.waitForOpenConnections(0);
  });
});

describe('a tls probe', () => {
  const probe = (origin: string, tls = {}): Probe =>
    tlsProbe(addressOf(origin), { ca: testCa, ...tls }, systemClock);

  it('passes where the certificate is good for the name', async () => {
    const upstream = await server({});
    expect(await run(probe(upstream.origin))).toMatchObject({ ok: true, detail: 'TLSv1.3' });
    await upstream.waitForOpenConnections(0);
  });

  it.each(['expired', 'wrong-host', 'self-signed'] as const)(
    'fails on a certificate: %s',
    async (identity) => {
      const upstream = await server({ identity });
      const result = await run(probe(upstream.origin));
      expect(result.ok).toBe(false);
      expect(result.detail).toMatch(/CERT|SELF_SIGNED/);
    },
  );

  it('checks the certificate for the name that it is told, not for the host', async () => {
    const upstream = await server({});
    expect((await run(probe(upstream.origin, { serverName: 'localhost' }))).ok).toBe(true);
    const other = await run(probe(upstream.origin, { serverName: 'other.test' }));
    expect(other).toMatchObject({ ok: false });
    expect(other.detail).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('shows its own certificate', async () => {
    const upstream = await server({ requireClientCertificate: true });
    expect((await run(probe(upstream.origin, clientIdentity()))).ok).toBe(true);
  });

  it('fails on a server that does not speak TLS', async () => {
    const upstream = await server();
    expect((await run(probe(upstream.origin))).ok).toBe(false);
  });

  it('is ended at its timeout by whoever runs it, when the handshake hangs', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const closed = new Promise<void>((resolve) =>
      silent.on('connection', (socket) =>
        socket
          .resume()
          .on('error', () => undefined)
          .on('close', () => resolve()),
      ),
    );
    const { port } = silent.address() as AddressInfo;
    const result = await run(probe(`https://127.0.0.1:${port}`), 50);
    expect(result).toMatchObject({ ok: false, detail: 'not done within 50 ms' });
    await closed;
    await new Promise((resolve) => silent.close(resolve));
  });
});

describe('running a probe', () => {
  it('ends also one that does not heed its signal', async () => {
    const deaf: Probe = () => new Promise(() => undefined);
    expect(await run(deaf, 10)).toMatchObject({ ok: false, detail: 'not done within 10 ms' });
  });

  it('makes a failure of one that rejects, against its promise', async () => {
    const broken: Probe = () => Promise.reject(new Error('a mistake'));
    expect(await run(broken)).toMatchObject({ ok: false, detail: 'a mistake' });
  });

  it('ends early when it is told to', async () => {
    const abort = new AbortController();
    const deaf: Probe = () => new Promise(() => undefined);
    const pending = runProbe(deaf, { clock: systemClock, timeoutMs: 5_000, signal: abort.signal });
    abort.abort();
    expect(await pending).toMatchObject({ ok: false, detail: 'broken off' });
    const signal = AbortSignal.abort();
    expect((await runProbe(deaf, { clock: systemClock, timeoutMs: 5_000, signal })).ok).toBe(false);
  });
});

describe('the address of a probe', () => {
  it.each([
    ['http://example.com', undefined, { host: 'example.com', port: 80 }],
    ['https://example.com', undefined, { host: 'example.com', port: 443 }],
    ['http://[::1]:8080', undefined, { host: '::1', port: 8080 }],
    ['https://example.com:8443', 9000, { host: 'example.com', port: 9000 }],
  ])('%s, port %s', (origin, port, address) => {
    expect(addressOf(origin, port)).toEqual(address);
  });
});
