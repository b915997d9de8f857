/** From the section of the configuration to probes: endpoints are asked by the names that calls to them go by. */
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { Endpoint, EndpointDescription } from '../../src/core/endpoint.ts';
import { endpointsOf } from '../../src/endpoints/endpoint.ts';
import { ConfiguredProbes } from '../../src/health/configured-probes.ts';
import type { ProbeOptions } from '../../src/health/configured-probes.ts';
import { runProbe } from '../../src/health/probes/probe.ts';
import type { ProbeResult } from '../../src/health/probes/probe.ts';
import { healthCheckSchema } from '../../src/schema/health-check.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { testCa } from '../support/tls/identities.ts';

const made: ConfiguredProbes[] = [];
afterEach(() => made.splice(0).forEach((probes) => probes.dispose()));

const endpoint = (description: EndpointDescription): Endpoint => endpointsOf([description])[0]!;

function look(options: object, at: Endpoint, tls = {}): Promise<ProbeResult> {
  const parsed: ProbeOptions = healthCheckSchema.parse(options);
  const probes = new ConfiguredProbes(parsed, { clock: systemClock, tls: { ca: testCa, ...tls } });
  made.push(probes);
  return runProbe(probes.probeFor(at), { clock: systemClock, timeoutMs: 2_000 });
}

describe('an endpoint that was found by its address and has a name', () => {
  it.each([{ http: { path: '/healthz' } }, { tls: {} }])('is trusted by its name: %j', async (kind) => {
    await using server = await scriptedUpstream([respond()], { tls: { identity: 'wrong-host' } });
    const named = endpoint({ url: server.origin, hostName: 'elsewhere.invalid' });
    expect(await look(kind, named)).toMatchObject({ ok: true });
    expect(await look(kind, endpoint({ url: server.origin }))).toMatchObject({ ok: false });
  });

  it('is trusted by the name that the upstream is told to have, where it is told one', async () => {
    await using server = await scriptedUpstream([respond()], { tls: { identity: 'wrong-host' } });
    const named = endpoint({ url: server.origin, hostName: 'other.invalid' });
    const told = { serverName: 'elsewhere.invalid' };
    expect(await look({ http: { path: '/' } }, named, told)).toMatchObject({ ok: true });
    expect(await look({ tls: {} }, named, told)).toMatchObject({ ok: true });
  });

  it('is asked for by its name and the port that is asked, unless another name is told', async () => {
    await using server = await scriptedUpstream([respond(), respond()]);
    const named = endpoint({ url: 'http://127.0.0.1:1', hostName: 'search.internal' });
    await look({ http: { path: '/' }, port: server.port }, named);
    await look({ http: { path: '/', host: 'told.internal' }, port: server.port }, named);
    expect(server.requests.map((request) => request.header('host'))).toEqual([
      `search.internal:${server.port}`,
      'told.internal',
    ]);
  });
});
