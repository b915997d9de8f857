/** A whole sidecar whose endpoints come from a real DNS server on loopback. */
import { describe, expect, it } from 'vitest';
import { startDnsServer } from '../support/dns-server.ts';
import type { DnsServer } from '../support/dns-server.ts';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import type { TestSidecar } from '../support/start-sidecar.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { tlsFile } from '../support/tls/identities.ts';

const SERVICE = '_http._tcp.agents.test';

const sidecarOn = (dns: DnsServer): Promise<TestSidecar> =>
  startSidecar(`
    upstreams:
      api:
        route: /api
        discovery:
          dns: { name: ${SERVICE}, type: srv, resolver: ['${dns.address}'], minRefresh: 20ms, grace: 100ms, timeout: 500ms }
  `);

/** The service is at these upstreams, all of them on loopback. */
function publish(dns: DnsServer, ...upstreams: readonly ScriptedUpstream[]): void {
  dns.set(
    SERVICE,
    upstreams.map(({ port }) => ({ type: 'SRV', target: 'local.test', port })),
    0,
  );
  dns.setAddresses('local.test', ['127.0.0.1'], 0);
}

const answering = (): Promise<ScriptedUpstream> => scriptedUpstream([respond({ body: 'fine' })]);
const call = async ({ port }: TestSidecar): Promise<number> =>
  (await request(port, { path: '/api/x' })).status;

/** Calls one after the other until `enough`. */
async function callUntil(sidecar: TestSidecar, enough: () => boolean): Promise<number[]> {
  const statuses: number[] = [];
  while (!enough()) statuses.push(await call(sidecar));
  return statuses;
}

describe('endpoints from DNS', () => {
  it('come and go under load, and no call is lost', async () => {
    await using first = await answering();
    await using second = await answering();
    await using dns = await startDnsServer();
    publish(dns, first);
    await using sidecar = await sidecarOn(dns);
    let over = false;
    const load = Promise.all(Array.from({ length: 4 }, () => callUntil(sidecar, () => over)));
    for (const members of [[first, second], [second], [second, first], [first]]) {
      publish(dns, ...members);
      const changes = sidecar.eventsNamed('discovery-changed').length;
      await sidecar.waitForEvent('discovery-changed', changes + 1);
    }
    over = true;
    const statuses = (await load).flat();
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(second.requests.length).toBeGreaterThan(0);
    const before = second.requests.length;
    await call(sidecar);
    expect(second.requests).toHaveLength(before);
  });

  it('stay while the server is dead, and follow it again when it is back', async () => {
    await using first = await answering();
    await using second = await answering();
    await using dns = await startDnsServer();
    publish(dns, first);
    await using sidecar = await sidecarOn(dns);
    await dns.stop();
    await sidecar.waitForEvent('discovery-failed');
    expect(await call(sidecar)).toBe(200);
    publish(dns, second);
    await dns.start();
    await sidecar.waitForEvent('discovery-recovered');
    await sidecar.waitForEvent('discovery-changed', 2);
    expect([await call(sidecar), second.requests.length]).toEqual([200, 1]);
  });

  it('that are gone bring their streams to an end', async () => {
    const stream = controlledStream();
    await using first = await scriptedUpstream([stream]);
    await using second = await answering();
    await using dns = await startDnsServer();
    publish(dns, first);
    await using sidecar = await sidecarOn(dns);
    const answer = request(sidecar.port, { path: '/api/stream' });
    await stream.head();
    await stream.write('data: 1\n\n');
    publish(dns, second);
    await sidecar.waitForEvent('discovery-changed', 2);
    expect(await call(sidecar)).toBe(200);
    await stream.write('data: 2\n\n');
    await stream.end();
    expect(await (await answer).text()).toBe('data: 1\n\ndata: 2\n\n');
    expect(first.aborts).toEqual([]);
  });

  it('are reached by their address under their name: in the Host field, and by their certificate', async () => {
    await using upstream = await scriptedUpstream([respond({ body: 'fine' })], { tls: {} });
    await using dns = await startDnsServer();
    for (const name of ['localhost', 'elsewhere.test']) dns.setAddresses(name, ['127.0.0.1']);
    const section = (name: string): string => `
        discovery: { dns: { name: ${name}, port: ${upstream.port}, scheme: https, resolver: ['${dns.address}'] } }
        tls: { caFile: '${tlsFile('ca.cert.pem')}' }`;
    await using sidecar = await startSidecar(`
    upstreams:
      api:
        route: /api${section('localhost')}
      other:
        route: /other${section('elsewhere.test')}
  `);
    expect(await call(sidecar)).toBe(200);
    expect(upstream.requests[0]?.header('host')).toBe(`localhost:${upstream.port}`);
    // The certificate is good for localhost and for the address, and the address is not what was asked for.
    expect((await request(sidecar.port, { path: '/other/x' })).status).toBe(502);
    expect(upstream.requests).toHaveLength(1);
  });
});
