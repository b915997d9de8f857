import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import { seededRandom } from '../../src/core/random.ts';
import { registry } from '../../src/discovery/registry.ts';
import { ownSidecar } from '../incidents/own-sidecar.ts';
import { catalogWith, registration, registryWith } from '../registry/fixture.ts';
import type { TestRegistry } from '../registry/fixture.ts';

const POLL = { interval: 10, timeout: 8_000 };

/** Follows it as an upstream would. */
function follow(
  options: Record<string, unknown>,
  directory?: TestRegistry['host']['catalog'],
  clock: Clock = systemClock,
) {
  const lists: (readonly EndpointDescription[])[] = [];
  const failures: string[] = [];
  const list = {
    replace: (endpoints: readonly EndpointDescription[]) => void lists.push(endpoints),
    failed: (message: string) => void failures.push(message),
  };
  const deps = { clock, random: seededRandom(1), upstream: 'up', list, registry: directory };
  const discoverer = registry.build(registry.schema.parse({ service: 'search', ...options }), deps);
  onTestFinished(() => discoverer.dispose());
  discoverer.start();
  const now = (): string[] => lists.at(-1)?.map((one) => `${one.instance ?? ''} ${one.status ?? ''}`) ?? [];
  return { lists, failures, now, discoverer };
}

describe('discovery from the registry of this process', () => {
  it('follows instances with their statuses, and leaves out those that lack what is wanted', async () => {
    const { host } = await registryWith();
    const { now, lists } = follow({ metadata: { tool: 'web' } }, host.catalog);
    expect(lists).toEqual([[]]);
    const metadata = { tool: 'web' };
    host.catalog.register(registration('a', { metadata, zone: 'x', weight: 2 }));
    host.catalog.register(registration('b', { metadata, status: 'stopping' }));
    host.catalog.register(registration('c'));
    host.catalog.register(registration('d', { metadata, service: 'other' }));
    await expect.poll(now, POLL).toEqual(['a up', 'b draining']);
    expect(lists.at(-1)?.[0]).toEqual({
      ...{ url: 'http://127.0.0.1:9000/a', instance: 'a', status: 'up', weight: 2, priority: 0 },
      ...{ zone: 'x', metadata },
    });
    host.catalog.deregister('search', 'a');
    await expect.poll(now, POLL).toEqual(['b draining']);
  });

  it('takes the first change over at once, and a burst behind it as one', async () => {
    const { catalog, clock } = catalogWith();
    const { lists, now, discoverer } = follow({}, catalog, clock);
    await clock.advance(1_000);
    for (let n = 0; n < 1_000; n++) {
      catalog.register(registration(`i${n}`));
      await Promise.resolve();
    }
    expect(lists.map(({ length }) => length)).toEqual([0, 1]);
    await clock.advance(100);
    expect(lists.map(({ length }) => length)).toEqual([0, 1, 1_000]);
    catalog.deregister('search', 'i0');
    await Promise.resolve();
    await clock.advance(100);
    expect(now()).toHaveLength(999);
    catalog.deregister('search', 'i1');
    discoverer.dispose();
    await clock.advance(1_000);
    expect(now()).toHaveLength(999);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('discovery from a registry elsewhere', () => {
  it('follows it with its token, through its end and its return, and keeps those that it has not heard of yet', async () => {
    const token = 'long-enough';
    const first = await registryWith({ token });
    first.host.catalog.register(registration('a', { metadata: { name: 'ünï' } }));
    first.host.catalog.register(registration('b'));
    const url = `http://127.0.0.1:${first.port}`;
    const { now, failures, lists } = follow({ url, token });
    await expect.poll(now, POLL).toEqual(['a up', 'b up']);
    expect(lists.at(-1)?.[0]?.metadata).toEqual({ name: 'ünï' });
    first.host.catalog.heartbeat('search', 'b', { status: 'degraded' });
    await expect.poll(now, POLL).toEqual(['a up', 'b degraded']);
    await first.host.close();
    await expect.poll(() => failures.length, POLL).toBeGreaterThan(0);
    const next = await registryWith({ token, listen: `127.0.0.1:${first.port}`, ttl: '2s' });
    next.host.catalog.register(registration('b'));
    await expect.poll(now, POLL).toEqual(['a up', 'b up']);
    await expect.poll(now, POLL).toEqual(['b up']);
  }, 20_000);

  it('tells what is wrong with what answers, and of an end of its own nothing', async () => {
    const server = createServer((request, response) => {
      response.statusCode = request.headers.authorization === 'Bearer good-token' ? 200 : 401;
      response.end('event: snapshot\ndata: {"instances":[{"id":"a"}],"more":false,"settlesInMs":0}\n\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close().closeAllConnections());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const refused = follow({ url });
    await expect.poll(() => refused.failures[0], POLL).toBe('expected 200 from the registry, got 401');
    const strange = follow({ url, token: 'good-token' });
    await expect
      .poll(() => strange.failures[0], POLL)
      .toMatch(/^not what a registry says: instances\.0\.url/);
    expect([...refused.lists, ...strange.lists]).toEqual([]);
    const { failures, discoverer } = follow({ url: `http://127.0.0.1:1` });
    discoverer.dispose();
    await new Promise((resolve) => setImmediate(resolve));
    expect(failures).toEqual([]);
  });
});

describe('a sidecar with a registry', () => {
  it('sends calls to those that registered there, shows them, and finds them again after a reload', async () => {
    const agent = createServer((_request, response) => response.end('from the agent'));
    await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void agent.close().closeAllConnections());
    const url = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
    const yaml = (more = '') =>
      `registry: { listen: "127.0.0.1:0" }\nupstreams: { search: { route: /search, discovery: { registry: { service: search ${more} } } } }\n`;
    await using running = await ownSidecar(yaml());
    const call = () => fetch(`http://127.0.0.1:${running.port}/search`);
    expect((await call()).status).toBe(503);
    const { port } = running.sidecar.registry.view?.listen ?? { port: 0 };
    await fetch(`http://127.0.0.1:${port}/v1/services/search/instances/a`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ url, metadata: { tool: 'web' } }),
    });
    await expect.poll(async () => (await call()).status, POLL).toBe(200);
    const view = await fetch(`http://127.0.0.1:${running.sidecar.admin.address()?.port}/admin/registry`);
    expect(await view.json()).toMatchObject({
      instances: 1,
      sharing: 'off',
      services: [{ service: 'search' }],
    });
    expect(await running.series('outrigger_registry_instances')).toContain(
      'outrigger_registry_instances{service="search",status="up"} 1',
    );
    expect(running.sidecar.journal.entries().map(({ event }) => event)).toContain('instance-registered');
    // A discoverer of other options begins anew, and has the list before the first call.
    expect(await running.edit(yaml(', metadata: { tool: web }'))).toMatchObject({
      applied: true,
      changed: true,
    });
    expect((await call()).status).toBe(200);
    await running.edit(yaml(', metadata: { tool: other }'));
    expect((await call()).status).toBe(503);
    await running.edit(yaml());
    expect((await call()).status).toBe(200);
    await fetch(`http://127.0.0.1:${port}/v1/services/search/instances/a`, { method: 'DELETE' });
    await running.clock.advance(100);
    await expect.poll(async () => (await call()).status, POLL).toBe(503);
  });
});
