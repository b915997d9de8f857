/** The registry over TLS: with its token, under a renewed certificate, for the clients that this house has. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ownSidecar } from '../incidents/own-sidecar.ts';
import type { OwnSidecar } from '../incidents/own-sidecar.ts';
import { testCa, tlsFile } from '../support/tls/identities.ts';
import type { ServerIdentity } from '../support/tls/identities.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { ask, registration } from './fixture.ts';

const POLL = { interval: 5, timeout: 5_000 };

function certificate() {
  const folder = mkdtempSync(join(tmpdir(), 'outrigger-registry-tls-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const become = (identity: ServerIdentity): void => {
    copyFileSync(tlsFile(`${identity}.cert.pem`), certFile);
    copyFileSync(tlsFile(`${identity}.key.pem`), keyFile);
  };
  become('server');
  return { become, tls: `tls: { certFile: ${certFile}, keyFile: ${keyFile} }` };
}

const portIn = ({ sidecar }: Pick<OwnSidecar, 'sidecar'>): number => sidecar.registry.view?.listen.port ?? 0;

/** Status of `/health`, and the fingerprint of the certificate, over a connection of its own. */
function health(port: number): Promise<{ readonly status: number; readonly print: string }> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ ca: testCa, checkServerIdentity: () => undefined });
    const options = { host: '127.0.0.1', port, path: '/health', agent, rejectUnauthorized: false };
    const call = request(options, (response) => {
      const print = (response.socket as TLSSocket).getPeerCertificate().fingerprint256;
      response.resume().on('end', () => resolve({ status: response.statusCode ?? 0, print }));
    });
    call.on('error', reject).on('close', () => agent.destroy());
    call.end();
  });
}

describe('a registry with a certificate', () => {
  it('is registered at by an agent and followed by an upstream that trust its root', async () => {
    const { tls } = certificate();
    await using registry = await startSidecar(
      `registry: { listen: "127.0.0.1:0", token: a-long-token, ${tls} }`,
    );
    // A registry that has just begun and knows nobody is waited for.
    registry.sidecar.registry.catalog.register(registration('first', { service: 'planner' }));
    const url = `https://127.0.0.1:${portIn(registry)}`;
    const trusting = `url: "${url}", token: a-long-token, tls: { caFile: ${tlsFile('ca.cert.pem')} }`;
    await using other = await startSidecar(`
agent:
  service: planner
  address: http://127.0.0.1:9
  drainDelay: 0ms
  register: { registry: { ${trusting} } }
upstreams: { planner: { route: /planner, discovery: { registry: { service: planner, ${trusting} } } } }
`);
    await other.waitForEvent('agent-registered');
    const members = () => other.sidecar.supervisor.runtime.upstreams.get('planner')?.endpoints.members ?? [];
    await expect.poll(() => members().length, POLL).toBe(2);
    await expect(ask(portIn(registry), 'GET', '/health')).rejects.toThrow();
  });

  it('shows a renewed one from the next connection on, and takes TLS up and leaves it on one port', async () => {
    const { become, tls } = certificate();
    await using own = await ownSidecar('registry: { listen: "127.0.0.1:0" }\n');
    const port = portIn(own);
    const section = (more: string) =>
      `registry: { listen: "127.0.0.1:${port}", token: a-long-token, ${more} }\n`;
    await own.edit(section(''));
    expect(portIn(own)).toBe(port);
    await own.edit(section(tls));
    expect(await health(port)).toMatchObject({ status: 200 });
    const { print } = await health(port);
    become('self-signed');
    await own.edit(section(tls));
    expect((await health(port)).print).not.toBe(print);
    expect(portIn(own)).toBe(port);
    await own.edit(section(''));
    expect((await ask(port, 'GET', '/health')).status).toBe(200);
  });

  it('is not held open by a client that never says hello', async () => {
    const { tls } = certificate();
    await using own = await ownSidecar(`registry: { listen: "127.0.0.1:0", ${tls} }\n`);
    const silent = connect(portIn(own), '127.0.0.1').on('error', () => undefined);
    onTestFinished(() => void silent.destroy());
    await health(portIn(own));
    await own.edit('{}\n');
    expect(own.sidecar.registry.view).toBeUndefined();
  });

  it('whose key is another one’s is a mistake in the configuration', async () => {
    const wrong = `registry: { tls: { certFile: ${tlsFile('server.cert.pem')}, keyFile: ${tlsFile('client.key.pem')} } }`;
    await expect(ownSidecar(`${wrong}\n`)).rejects.toThrow(
      /registry\.tls\.keyFile.*the key of the certificate/,
    );
  });
});
