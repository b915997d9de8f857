import { describe, expect, it, onTestFinished } from 'vitest';
import { makeRegistrar } from '../../src/agent/make-registrar.ts';
import type { Registrar } from '../../src/agent/registrar.ts';
import type { AgentIdentity } from '../../src/core/agent.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { InstanceRegistrar } from '../../src/core/registry.ts';
import { EtcdClient } from '../../src/discovery/etcd-client.ts';
import { agentRegisterSchema } from '../../src/schema/agent-register.ts';
import { HttpClient } from '../../src/transport/http-client.ts';
import { hasEtcd, startEtcd } from '../support/etcd-server.ts';
import { consulStub } from './consul-stub.ts';
import { localServer } from './local-server.ts';
import { AGENT } from './rig.ts';

const never = new AbortController().signal;
const LEASE = { ttlMs: 30_000, heartbeatMs: 10_000 };

function registrarFor(
  register: object,
  agent: AgentIdentity = AGENT,
  registry?: InstanceRegistrar,
): Registrar {
  const nobody = (): Promise<never> => Promise.reject(new Error('there is no registry in this sidecar'));
  const registrar = makeRegistrar(agentRegisterSchema.parse(register), agent, {
    clock: systemClock,
    registry: registry ?? { register: nobody, heartbeat: nobody, deregister: nobody },
  });
  onTestFinished(() => registrar.dispose());
  return registrar;
}

describe('Consul', () => {
  const registerAt = (url: string): object => ({ consul: { url, token: 't0ken' }, ttl: '30s' });

  it('gets a service with a TTL check, whose state follows the agent’s', async () => {
    await using consul = await consulStub('t0ken');
    const agent = { ...AGENT, address: 'http://[::1]:8000/v2', weight: 0.2 };
    const registrar = registrarFor(registerAt(`${consul.server.origin}/`), agent);
    await registrar.register('starting', never);
    expect(consul.services.get('planner-1')).toEqual({
      ID: 'planner-1',
      Name: 'planner',
      Address: '::1',
      Port: 8000,
      Meta: { capabilities: 'plan,search', scheme: 'http', path: '/v2', zone: 'a' },
      Weights: { Passing: 1, Warning: 1 },
      Check: {
        CheckID: 'service:planner-1',
        TTL: '30000ms',
        Status: 'critical',
        DeregisterCriticalServiceAfter: '60000ms',
      },
    });
    const seen: unknown[] = [];
    for (const status of ['up', 'degraded', 'down', 'stopping'] as const) {
      expect(await registrar.heartbeat(status, never)).toEqual(LEASE);
      seen.push(consul.checks.get('service:planner-1'));
    }
    expect(seen).toEqual(['passing', 'warning', 'critical', 'critical']);
  });

  it('is told namespace and partition with every call', async () => {
    await using consul = await consulStub('t0ken');
    const place = { namespace: 'team a', partition: 'west' };
    const registrar = registrarFor({ consul: { url: consul.server.origin, token: 't0ken', ...place } });
    await registrar.register('up', never);
    await registrar.heartbeat('up', never);
    await registrar.deregister(never);
    const asked = consul.server.heard.map(({ url }) => new URL(url, consul.server.origin).searchParams);
    expect(asked.map((query) => [query.get('ns'), query.get('partition')])).toEqual(
      Array<string[]>(3).fill(['team a', 'west']),
    );
  });

  it('that has forgotten the agent says so; taking out what is not there is no error', async () => {
    await using consul = await consulStub('t0ken');
    const registrar = registrarFor(registerAt(consul.server.origin));
    await registrar.register('up', never);
    consul.forget();
    expect(await registrar.heartbeat('up', never)).toBe('unknown');
    await registrar.deregister(never);
    await registrar.register('up', never);
    await registrar.deregister(never);
    expect(consul.services.size).toBe(0);
  });

  it('that refuses the token is told of without it', async () => {
    await using consul = await consulStub('another');
    const registrar = registrarFor(registerAt(consul.server.origin));
    const error = await registrar.register('up', never).then(String, String);
    expect(error).toContain('403');
    expect(error).not.toContain('t0ken');
  });
});

describe.skipIf(!hasEtcd)('etcd', () => {
  it('has the agent under a key that hangs on a lease: it lives by heartbeats, and goes with the lease', async () => {
    await using etcd = await startEtcd();
    const http = new HttpClient({ clock: systemClock });
    onTestFinished(() => http.dispose());
    const client = new EtcdClient({ endpoints: [etcd.url] }, http);
    const stored = async (): Promise<unknown> => {
      const { entries } = await client.range({ key: '/services/', prefix: true });
      return [...entries].map((one) => JSON.stringify(one)).join();
    };
    const registrar = registrarFor({ etcd: { urls: [etcd.url] }, heartbeat: '500ms', ttl: '2s' });
    await registrar.register('starting', never);
    expect(await stored()).toContain('/services/planner/planner-1');
    expect(await stored()).toContain('starting');
    expect(await registrar.heartbeat('up', never)).toEqual({ ttlMs: 2_000, heartbeatMs: 2_000 / 3 });
    expect(await stored()).toContain(String.raw`\"status\":\"up\"`);

    await client.delete({ key: '/services/', prefix: true });
    await registrar.register('up', never);
    expect(await stored()).toContain('planner-1');

    await registrar.deregister(never);
    expect(await stored()).toBe('');
    expect(await registrar.heartbeat('up', never)).toBe('unknown');
    await registrar.register('up', never);
    expect(await stored()).toContain('planner-1');
  });
});

it.each(['registry', 'consul'])(
  'what is asked of a %s that says nothing ends with its signal',
  async (kind) => {
    await using silent = await localServer(() => undefined);
    const registrar = registrarFor({ [kind]: { url: silent.origin }, timeout: '1h' });
    const abort = new AbortController();
    const asked = [
      registrar.register('up', abort.signal),
      registrar.heartbeat('up', abort.signal),
      registrar.deregister(abort.signal),
    ].map((one) => one.catch((error: unknown) => error));
    await silent.waitFor(3);
    abort.abort();
    for (const one of await Promise.all(asked)) expect(one).toBeInstanceOf(Error);
  },
);

it('a registry gets all that is known of the agent, and is not there where there is none', async () => {
  const told: unknown[] = [];
  const registry: InstanceRegistrar = {
    register: async (report) => (told.push(report), LEASE),
    heartbeat: async (...said) => (told.push(said), told.length > 2 ? 'unknown' : LEASE),
    deregister: async (...said) => told.push(said) > 0,
  };
  const registrar = registrarFor({ embedded: true }, AGENT, registry);
  await registrar.register('up', never);
  expect(await registrar.heartbeat('degraded', never)).toEqual(LEASE);
  expect(await registrar.heartbeat('degraded', never)).toBe('unknown');
  await registrar.deregister(never);
  const { address: url, ...said } = AGENT;
  expect(told).toEqual([
    { ...said, url, status: 'up' },
    ['planner', 'planner-1', { status: 'degraded' }, never],
    ['planner', 'planner-1', { status: 'degraded' }, never],
    ['planner', 'planner-1', never],
  ]);
  await expect(registrarFor({ embedded: true }).register('up', never)).rejects.toThrow('no registry');
});
