/** What becomes of the connections of a tunnel; bytes on raw sockets, because frames do not matter here. */
import { once } from 'node:events';
import http from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { expect, it, vi } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { joinTunnel } from '../../src/server/tunnel.ts';
import { leakCheck } from '../support/leak-check.ts';
import { rawClient } from '../support/raw-client.ts';
import type { RawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import type { TestSidecar } from '../support/start-sidecar.ts';
import { respond } from '../support/steps/answers.ts';
import { upgrade } from '../support/steps/upgrades.ts';
import { turns } from '../support/turns.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { headBytes, statusLine } from '../support/wire/serialize.ts';

const MIB = 1024 * 1024;

const routeTo = (origin: string, more = ''): string => `
server: { drainTimeout: 200ms }
upstreams: { live: { route: /live, endpoints: [{ url: "${origin}" }], ${more} } }
`;

const HANDSHAKE = 'GET /live/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

/** A client whose protocol has been switched. */
async function tunnelTo(proxy: TestSidecar): Promise<RawClient> {
  const client = await rawClient(proxy.port);
  const response = client.response();
  await client.send(HANDSHAKE);
  expect((await response).status).toBe(101);
  return client;
}

/** Switches protocols and then sends `bytes` bytes, as fast as they are taken. */
function flood(bytes: number, end: 'fin' | 'open'): RequestStep {
  const block = Buffer.alloc(64 * 1024, 'x');
  return {
    name: 'flood',
    startsAt: 'body',
    run: async (exchange) => {
      exchange.tunnel(() => undefined);
      await exchange.write(headBytes(statusLine(101), { connection: 'Upgrade', upgrade: 'websocket' }));
      for (let left = bytes; left > 0 && exchange.writable; left -= block.length)
        await exchange.write(block.subarray(0, Math.min(left, block.length)));
      if (end === 'fin') exchange.finish();
      await exchange.gone;
    },
  };
}

it.each(['destroy', 'reset', 'halfClose'] as const)(
  'a client that leaves (%s) takes the connection to the upstream with it',
  async (leave) => {
    await using upstream = await scriptedUpstream([upgrade()]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await tunnelTo(proxy);
    client[leave]();
    await upstream.waitForOpenConnections(0);
    const [ended] = await proxy.waitForEvent('exchange-ended');
    expect(ended).toMatchObject({ status: 101, result: 'ok' });
  },
);

it('an upstream that dies takes the connection of the client with it', async () => {
  await using upstream = await scriptedUpstream([upgrade()]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  await using client = await tunnelTo(proxy);
  await upstream.kill();
  expect(await client.waitForEnd()).toBeDefined();
  await proxy.waitForEvent('exchange-ended');
  expect(await proxy.metric('outrigger_tunnels')).toBe(0);
});

it('what the upstream sent before it closed arrives whole at a client that reads slowly', async () => {
  await using upstream = await scriptedUpstream([flood(8 * MIB, 'fin')]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  await using client = await tunnelTo(proxy);
  client.pause();
  await upstream.waitUntil(() => (upstream.requests[0]?.answeredBytes ?? 0) > MIB, 'the first megabyte');
  client.resume();
  expect((await client.readToEnd()).length).toBe(8 * MIB);
  expect(client.ending).toBe('fin');
});

it('an orderly end waits for bytes that the other side has not taken yet', async () => {
  const untaken: (() => void)[] = [];
  const taken: string[] = [];
  const slow = new Duplex({
    read: () => undefined,
    write: (chunk, _encoding, done) => {
      taken.push(String(chunk));
      untaken.push(done);
    },
  });
  const client = Object.assign(slow, { setNoDelay: () => slow }) as unknown as Socket;
  const upstream = new Duplex({ read: () => undefined, allowHalfOpen: false, final: (done) => done() });
  joinTunnel(
    { client, upstream, early: Buffer.alloc(0) },
    {
      head: { status: 101, statusText: '', headers: [] },
      extraHeaders: [],
      idleMs: 60_000,
      clock: systemClock,
    },
  );
  upstream.push('last words');
  upstream.push(null);
  await once(upstream, 'close');
  await turns(3);
  expect(client.destroyed).toBe(false);
  untaken.shift()?.();
  await turns(1);
  expect(taken.at(-1)).toBe('last words');
  untaken.shift()?.();
  await once(client, 'close');
});

it('an upstream that sends faster than the client reads is held back', async () => {
  await using upstream = await scriptedUpstream([flood(64 * MIB, 'open')]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  await using client = await tunnelTo(proxy);
  client.pause();
  const taken = await standstill(() => upstream.requests[0]?.answeredBytes ?? 0);
  // Only the buffers of the kernel, twice, and of the two sockets.
  expect(taken).toBeLessThan(24 * MIB);
});

it('a client that sends faster than the upstream reads is held back', async () => {
  await using upstream = await scriptedUpstream([upgrade({ answerTo: () => undefined })]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  await using client = await tunnelTo(proxy);
  upstream.pause();
  let taken = 0;
  const block = Buffer.alloc(MIB, 'x');
  void (async () => {
    for (; taken < 64 * MIB; taken += block.length) await client.send(block);
  })();
  expect(await standstill(() => taken)).toBeLessThan(24 * MIB);
  upstream.resume();
  await upstream.waitUntil(() => (upstream.requests[0]?.tunnel.length ?? 0) > 8 * MIB, 'the bytes held back');
});

/** The value once it has not moved for a while. */
async function standstill(read: () => number): Promise<number> {
  for (let before = -1; ;) {
    await new Promise((resolve) => setTimeout(resolve, 150));
    if (read() === before && before > 0) return before;
    before = read();
  }
}

it('silence in both directions closes both ends after tunnelIdle, and leaves no timer', async () => {
  await using upstream = await scriptedUpstream([upgrade()]);
  const leaks = await leakCheck();
  {
    await using proxy = await startSidecar(routeTo(upstream.origin, 'tunnelIdle: 200ms'));
    await using client = await tunnelTo(proxy);
    const startedAt = performance.now();
    await client.send('a word');
    expect(String(await client.nextBytes())).toBe('a word');
    expect(await client.waitForEnd()).toBeDefined();
    expect(performance.now() - startedAt).toBeGreaterThan(190);
    await upstream.waitForOpenConnections(0);
    const [ended] = await proxy.waitForEvent('exchange-ended');
    expect(ended?.bytes).toBe('a word'.length);
  }
  await leaks.settled();
});

it('a drain leaves tunnels their time, then closes both ends and says so', async () => {
  await using upstream = await scriptedUpstream([upgrade()]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  await using client = await tunnelTo(proxy);
  const stopped = proxy.sidecar.stop();
  await client.send('still here');
  expect(String(await client.nextBytes())).toBe('still here');
  expect(await client.waitForEnd()).toBeDefined();
  await upstream.waitForOpenConnections(0);
  expect(await stopped).toEqual({ brokenOff: 1 });
});

/** Servers of this process hand every Upgrade request over from here on, as all of Node did before version 24. */
function likeNode22(): Disposable {
  const create = http.createServer.bind(http);
  const old = (options: http.ServerOptions, handler: http.RequestListener): http.Server => {
    const { shouldUpgradeCallback: _, ...others } = options as Record<string, unknown>;
    return create(others, handler);
  };
  const spy = vi.spyOn(http, 'createServer').mockImplementation(old as typeof http.createServer);
  return { [Symbol.dispose]: () => spy.mockRestore() };
}

const FRAMED_BODIES = [
  'Content-Length: 4\r\n\r\nbody',
  'Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n',
];

it('where Node hands over every Upgrade request, those that are none are read again as plain ones', async () => {
  using _old = likeNode22();
  await using upstream = await scriptedUpstream([respond({ body: 'plain' })]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  await using client = await rawClient(proxy.port);
  const fields =
    'Host: a\r\nX-A: \xe4\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n';
  for (const rest of FRAMED_BODIES) {
    const response = client.response();
    await client.send(`POST /live/x?y HTTP/1.1\r\n${fields}${rest}`);
    expect(await (await response).text()).toBe('plain');
  }
  const late = client.response();
  await client.send(`POST /live/late HTTP/1.1\r\n${fields}Content-Length: 8\r\n\r\nbo`);
  await turns(5);
  await client.send('dybody');
  expect(await (await late).text()).toBe('plain');
  expect(upstream.requests.map((seen) => `${seen.method} ${seen.target} ${seen.text()}`)).toEqual([
    'POST /x?y body',
    'POST /x?y body',
    'POST /late bodybody',
  ]);
  expect(upstream.requests.map((seen) => seen.header('x-a'))).toEqual(['\xe4', '\xe4', '\xe4']);
  expect(upstream.requests.map((seen) => seen.header('http2-settings'))).toEqual(Array(3).fill(undefined));
});

it('where Node hands over every Upgrade request, protocols are switched as elsewhere', async () => {
  using _old = likeNode22();
  await using upstream = await scriptedUpstream([upgrade()]);
  await using proxy = await startSidecar(routeTo(upstream.origin));
  await using client = await tunnelTo(proxy);
  await client.send('echo');
  expect(String(await client.nextBytes())).toBe('echo');
});

it('WebSocket is an ordinary request for an upstream that does not allow it, whatever others allow', async () => {
  await using upstream = await scriptedUpstream([respond({ body: 'plain' })]);
  await using proxy = await startSidecar(`
upstreams:
  live: { route: /live, upgrades: [], endpoints: [{ url: "${upstream.origin}" }] }
  other: { route: /other, endpoints: [{ url: "${upstream.origin}" }] }
`);
  await using client = await rawClient(proxy.port);
  await client.send(HANDSHAKE);
  await upstream.waitForRequest();
  expect(upstream.requests[0]?.header('upgrade')).toBeUndefined();
});
