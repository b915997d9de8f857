/** Reloads while something is under way, and listeners that change their owners and addresses. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { apiAt, ownSidecar, type OwnSidecar } from '../incidents/own-sidecar.ts';
import { rawClient, request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond, respondWith } from '../support/steps/answers.ts';
import { holdResponse } from '../support/steps/hold-response.ts';

/** Settings that a reload cannot carry over to the connections that are there. */
const newPool = (connect: number, more = ''): string =>
  `policies: { attemptTimeout: { connect: ${connect}s } ${more} }`;

describe('a reload that replaces the connections to an upstream', () => {
  it('leaves a way to it to an exchange that waits for its next attempt', async () => {
    await using upstream = await scriptedUpstream([respond({ status: 503 }), respond({ body: 'fine' })]);
    const retry = ', retry: { maxRetries: 1, backoff: { kind: constant, initial: 1s, jitter: none } }';
    await using own = await ownSidecar(apiAt(upstream.origin, newPool(5, retry)));
    const answer = own.send();
    await own.until('retry-scheduled');
    expect(await own.edit(apiAt(upstream.origin, newPool(6, retry)))).toMatchObject({ applied: true });
    await own.clock.advance(1_000);
    const response = await answer;
    expect([response.status, await response.text()]).toEqual([200, 'fine']);
    expect(response.header('x-outrigger-attempts')).toBe('2');
    await upstream.waitForIdle();
  });

  it('leaves a way to it to an exchange whose body still comes in', async () => {
    await using upstream = await scriptedUpstream([respondWith(({ body }) => ({ body }))]);
    await using own = await ownSidecar(apiAt(upstream.origin, newPool(5)));
    await using client = await rawClient(own.port);
    void client.send('POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345');
    await own.until('exchange-started');
    expect(await own.edit(apiAt(upstream.origin, newPool(6)))).toMatchObject({ applied: true });
    void client.send('67890');
    expect(await (await client.response('POST')).text()).toBe('1234567890');
  });

  it('keeps no connection of such an exchange when it is over', async () => {
    const held = holdResponse(respond({ body: 'fine' }));
    await using upstream = await scriptedUpstream([respond({ status: 503 }), held]);
    const retry = ', retry: { maxRetries: 1, backoff: { kind: constant, initial: 1s, jitter: none } }';
    await using own = await ownSidecar(apiAt(upstream.origin, newPool(5, retry)));
    const answer = own.send();
    await own.until('retry-scheduled');
    await own.edit(apiAt(upstream.origin, newPool(6, retry)));
    await own.clock.advance(1_000);
    await held.waitForHeld();
    held.release();
    expect((await answer).status).toBe(200);
    await upstream.waitForOpenConnections(0);
  });
});

/** Ports that were free a moment ago, for addresses that the configuration must name. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** One upstream a line, each with a listener and a base path of its own. */
const listening = (origin: string, addresses: Readonly<Record<string, string>>): string => {
  const entries = Object.entries(addresses).map(
    ([name, address]) =>
      `  ${name}: { listen: "${address}", endpoints: [{ url: "${origin}/${name}" }], policies: { retry: false } }`,
  );
  return `upstreams:\n${entries.join('\n')}\n`;
};

const tellTarget = respondWith(({ target }) => ({ body: target }));

const askAt = async (port: number): Promise<string> => (await request(port, { path: '/x' })).text();

const messagesOf = async (own: OwnSidecar, yaml: string): Promise<string[]> =>
  (await own.edit(yaml)).problems.map(({ message }) => message);

describe('the listener of an upstream', () => {
  it('follows the upstream to another name, and its connections live on', async () => {
    await using upstream = await scriptedUpstream([tellTarget]);
    const [port = 0] = await freePorts(1);
    await using own = await ownSidecar(listening(upstream.origin, { a: `127.0.0.1:${port}` }));
    await using client = await rawClient(port);
    expect(await (await client.request({ path: '/x' })).text()).toBe('/a/x');
    expect(await messagesOf(own, listening(upstream.origin, { c: `127.0.0.1:${port}` }))).toEqual([]);
    expect(await askAt(port)).toBe('/c/x');
    expect(await (await client.request({ path: '/x' })).text()).toBe('/c/x');
    expect(own.sidecar.dataPlane.address('a')).toBeUndefined();
    expect(own.sidecar.dataPlane.address('c')?.port).toBe(port);
  });

  it('can be swapped with another’s', async () => {
    await using upstream = await scriptedUpstream([tellTarget]);
    const [one = 0, two = 0] = await freePorts(2);
    const [first, second] = [`127.0.0.1:${one}`, `127.0.0.1:${two}`];
    await using own = await ownSidecar(listening(upstream.origin, { a: first, b: second }));
    expect(await Promise.all([one, two].map(askAt))).toEqual(['/a/x', '/b/x']);
    expect(await messagesOf(own, listening(upstream.origin, { a: second, b: first }))).toEqual([]);
    expect(await Promise.all([one, two].map(askAt))).toEqual(['/b/x', '/a/x']);
  });

  it('can be handed on while its former owner gets a new one', async () => {
    await using upstream = await scriptedUpstream([tellTarget]);
    const [one = 0, two = 0] = await freePorts(2);
    await using own = await ownSidecar(listening(upstream.origin, { a: `127.0.0.1:${one}` }));
    const yaml = listening(upstream.origin, { a: `127.0.0.1:${two}`, b: `127.0.0.1:${one}` });
    expect(await messagesOf(own, yaml)).toEqual([]);
    expect(await Promise.all([one, two].map(askAt))).toEqual(['/b/x', '/a/x']);
  });

  it('stays with its owner where the new configuration is refused for another address', async () => {
    await using upstream = await scriptedUpstream([tellTarget]);
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port: foreign } = taken.address() as AddressInfo;
    const [port = 0] = await freePorts(1);
    await using own = await ownSidecar(listening(upstream.origin, { a: `127.0.0.1:${port}` }));
    const yaml = listening(upstream.origin, { c: `127.0.0.1:${port}`, d: `127.0.0.1:${foreign}` });
    expect(await messagesOf(own, yaml)).toEqual([
      `cannot listen on 127.0.0.1:${foreign} (upstreams.d.listen): the address is in use`,
    ]);
    expect(await askAt(port)).toBe('/a/x');
    await once(taken.close(), 'close');
  });

  it('cannot go from one address to all of them while it is open, and the message says why', async () => {
    await using upstream = await scriptedUpstream([tellTarget]);
    const [port = 0] = await freePorts(1);
    await using own = await ownSidecar(listening(upstream.origin, { a: `127.0.0.1:${port}` }));
    expect(await messagesOf(own, listening(upstream.origin, { a: `0.0.0.0:${port}` }))).toEqual([
      `cannot listen on 0.0.0.0:${port} (upstreams.a.listen): the port is in use by this sidecar itself; such a change needs a new start`,
    ]);
    expect(await askAt(port)).toBe('/a/x');
  });
});

it('a reload that is under way when everything is closed brings nothing to life afterwards', async () => {
  const [port = 0, extra = 0] = await freePorts(2);
  await using upstream = await scriptedUpstream([]);
  const own = await ownSidecar(apiAt(upstream.origin));
  const away = `late: { listen: "127.0.0.1:${port}", discovery: { file: /nowhere/endpoints.yaml, wait: 1h } }`;
  const reloading = own.edit(
    `${apiAt(upstream.origin, '', away)}registry: { listen: "127.0.0.1:${extra}" }\n`,
  );
  await own.until('discovery-failed');
  await own.sidecar.close();
  expect(await reloading).toMatchObject({ applied: false });
  for (const one of [port, extra]) await expect(request(one, { path: '/' })).rejects.toThrow(/ECONNREFUSED/);
  expect(await own.sidecar.reload('test')).toMatchObject({ applied: false });
  expect(own.clock.pendingTimers).toBe(0);
});

it('an address that is not free refuses the reload as a whole, and serves the next one', async () => {
  await using upstream = await scriptedUpstream([]);
  await using own = await ownSidecar(apiAt(upstream.origin));
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const agent = 'agent: { service: planner, address: "http://127.0.0.1:9", check: { tcp: {} } }';
  const yaml = `${apiAt(upstream.origin)}registry: { listen: "127.0.0.1:${port}" }\n${agent}\n`;
  const refused = await own.edit(yaml);
  expect(refused.applied).toBe(false);
  expect(refused.problems).toMatchObject([
    { message: expect.stringContaining(`127.0.0.1:${port} (registry.listen)`) as unknown },
  ]);
  expect([own.sidecar.agent.snapshot, own.sidecar.registry.view]).toEqual([undefined, undefined]);
  taken.close();
  await once(taken, 'close');
  expect(await own.sidecar.reload('test')).toMatchObject({ applied: true, changed: true });
  expect(own.sidecar.registry.view?.listen).toMatchObject({ port });
  expect(own.sidecar.agent.snapshot).toMatchObject({ service: 'planner' });
});
