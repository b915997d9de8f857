/** The registry over changes of its section: instances stay, and so does a listener until there is a better one. */
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { registrySchema } from '../../src/schema/registry.ts';
import { ownSidecar } from '../incidents/own-sidecar.ts';
import type { OwnSidecar } from '../incidents/own-sidecar.ts';
import { ask, pathOf, registration, registryWith, statuses } from './fixture.ts';
import type { Asked } from './fixture.ts';

const POLL = { interval: 5, timeout: 5_000 };
const body = { url: 'http://127.0.0.1:9000' };
const bearing = (token: string) => ({ authorization: `Bearer ${token}` });

const portIn = ({ sidecar }: OwnSidecar): number => sidecar.registry.view?.listen.port ?? 0;

async function takenPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Follows all changes. @returns how it stands with the connection */
async function watch(port: number, token: string): Promise<() => 'open' | 'over'> {
  let state: 'open' | 'over' = 'open';
  const end = new AbortController();
  onTestFinished(() => end.abort());
  const url = `http://127.0.0.1:${port}/v1/watch`;
  const { body: stream } = await fetch(url, { headers: bearing(token), signal: end.signal });
  void (async () => {
    for await (const piece of stream ?? []) void piece;
  })()
    .catch(() => undefined)
    .then(() => (state = 'over'));
  return () => state;
}

describe('a reload', () => {
  it('changes TTL, bounds and token in place: nobody leaves, no connection ends but of those that follow by the old token', async () => {
    const section = (more: string) => `registry: { listen: "127.0.0.1:0", ${more} }\n`;
    await using own = await ownSidecar(section('token: old-token, ttl: 30s, maxInstances: 3'));
    const port = portIn(own);
    const put = (id: string, token: string): Promise<Asked> =>
      ask(port, 'PUT', pathOf(id), { body, headers: bearing(token) });
    expect((await put('a', 'old-token')).json).toMatchObject({ ttlMs: 30_000 });
    await put('b', 'old-token');
    const following = await watch(port, 'old-token');

    await own.edit(section('token: old-token, ttl: 60s, maxInstances: 1'));
    expect(portIn(own)).toBe(port);
    expect((await put('a', 'old-token')).json).toMatchObject({ ttlMs: 60_000 });
    expect((await put('c', 'old-token')).json).toMatchObject({ code: 'registry_full' });
    expect(statuses(own.sidecar.registry.catalog)).toEqual(['a up', 'b up']);
    expect(following()).toBe('open');

    await own.edit(section('token: new-token, ttl: 60s, maxInstances: 3'));
    await expect.poll(following, POLL).toBe('over');
    expect((await put('a', 'old-token')).status).toBe(401);
    expect((await put('c', 'new-token')).status).toBe(201);
    expect(portIn(own)).toBe(port);
  });

  it('makes sweeps as frequent as it says, at once', async () => {
    const section = (every: string) => `registry: { listen: "127.0.0.1:0", sweepInterval: ${every} }\n`;
    await using own = await ownSidecar(section('1h'));
    await ask(portIn(own), 'PUT', pathOf('a'), { body: { ...body, ttlMs: 1_000 } });
    await own.clock.advance(2_000);
    expect(statuses(own.sidecar.registry.catalog)).toEqual(['a up']);
    await own.edit(section('1s'));
    await own.clock.advance(1_000);
    expect(statuses(own.sidecar.registry.catalog)).toEqual(['a down']);
  });

  it('that moves it serves at the new address, with the same instances, and no more at the old one', async () => {
    await using own = await ownSidecar('registry: { listen: "127.0.0.1:0" }\n');
    const old = portIn(own);
    await ask(old, 'PUT', pathOf('a'), { body });
    await own.edit('registry: { listen: "localhost:0" }\n');
    const port = portIn(own);
    expect(port).not.toBe(old);
    expect((await ask(port, 'POST', `${pathOf('a')}/heartbeat`, { body: {} })).status).toBe(200);
    await expect(ask(old, 'GET', pathOf('a'))).rejects.toThrow('ECONNREFUSED');
  });

  it('that moves it to a taken address is refused by name of address and option: it serves on where it was, with its token and bounds', async () => {
    const taken = await takenPort();
    await using own = await ownSidecar('registry: { listen: "127.0.0.1:0", token: the-token, ttl: 20s }\n');
    const port = portIn(own);
    const headers = bearing('the-token');
    await ask(port, 'PUT', pathOf('a'), { body, headers });
    const following = await watch(port, 'the-token');
    await own.edit(`registry: { listen: "127.0.0.1:${taken}" }\n`);
    const message = `cannot listen on 127.0.0.1:${taken} (registry.listen): the address is in use`;
    expect(own.events.of('config-rejected')).toMatchObject([{ problems: [{ message }] }]);
    expect(own.events.of('internal-error')).toEqual([]);
    expect(own.sidecar.registry.catalog.limits.ttl).toBe(20_000);
    expect(portIn(own)).toBe(port);
    expect((await ask(port, 'POST', `${pathOf('a')}/heartbeat`, { body: {}, headers })).status).toBe(200);
    expect((await ask(port, 'GET', pathOf('a'))).status).toBe(401);
    expect(following()).toBe('open');
    await own.edit('registry: { listen: "localhost:0" }\n');
    expect(portIn(own)).not.toBe(port);
    expect((await ask(portIn(own), 'GET', pathOf('a'))).status).toBe(200);
  });

  it('that takes the section away closes the listener, and one that brings it back finds the instances', async () => {
    await using own = await ownSidecar('registry: { listen: "127.0.0.1:0" }\n');
    const port = portIn(own);
    await ask(port, 'PUT', pathOf('a'), { body });
    await own.edit('{}\n');
    expect(own.sidecar.registry.view).toBeUndefined();
    await expect(ask(port, 'GET', pathOf('a'))).rejects.toThrow('ECONNREFUSED');
    await own.edit('registry: { listen: "127.0.0.1:0" }\n');
    expect((await ask(portIn(own), 'GET', pathOf('a'))).status).toBe(200);
  });
});

describe('moving on one port', () => {
  it('frees it first, and takes it again where the other address cannot be had', async () => {
    const { host, port, ask: askHere } = await registryWith({ token: 'the-token' });
    host.catalog.register(registration('a'));
    const at = (name: string) => registrySchema.parse({ listen: `${name}:${port}`, token: 'the-token' });
    const headers = bearing('the-token');
    for (let round = 0; round < 2; round++) {
      // Nobody's: it is for documentation.
      await expect(host.configure(at('192.0.2.1'))).rejects.toThrow(/cannot listen on 192\.0\.2\.1/);
      expect((await askHere('GET', pathOf('a'), { headers })).status).toBe(200);
      await host.configure(at('localhost'));
      expect(host.view?.listen.port).toBe(port);
    }
  });

  it('of two changes at once has the outcome of the second', async () => {
    const { host } = await registryWith();
    const parsed = ['localhost:0', '127.0.0.1:0'].map((listen) =>
      registrySchema.parse({ listen, maxWatchers: 1 }),
    );
    await Promise.all([...parsed.map((options) => host.configure(options)), host.close()]);
    expect(host.view).toBeUndefined();
  });
});
