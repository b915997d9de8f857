import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { ClientOptions, ServerOptions } from 'ws';
import { closedPort } from '../support/dead-ports.ts';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond } from '../support/steps/answers.ts';
import { staleKeepAlive } from '../support/steps/connections.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { stall } from '../support/steps/silence.ts';
import { refuseUpgrade, upgrade } from '../support/steps/upgrades.ts';
import { turns } from '../support/turns.ts';

interface WsUpstream extends AsyncDisposable {
  readonly server: WebSocketServer;
  readonly origin: string;
  readonly connections: { readonly socket: WebSocket; readonly request: IncomingMessage }[];
}

/** A WebSocket server that says everything again. */
async function echoServer(options: ServerOptions = {}): Promise<WsUpstream> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...options });
  await once(server, 'listening');
  const connections: WsUpstream['connections'] = [];
  server.on('connection', (socket, request) => {
    connections.push({ socket, request });
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  const dispose = async (): Promise<void> => {
    for (const { socket } of connections) socket.terminate();
    const closed = once(server, 'close');
    server.close();
    await closed;
  };
  const { port } = server.address() as AddressInfo;
  return { server, origin: `http://127.0.0.1:${port}`, connections, [Symbol.asyncDispose]: dispose };
}

const routeTo = (origins: string | readonly string[], more = ''): string => `
upstreams:
  live:
    route: /live
    endpoints: [${[origins]
      .flat()
      .map((url) => `{ url: "${url}" }`)
      .join(', ')}]
    ${more}
`;

const dial = (port: number, protocols: string[] = [], options: ClientOptions = {}): WebSocket => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/live/socket?a=b`, protocols, options);
  socket.on('error', () => undefined);
  return socket;
};

/** The answer to a handshake that did not succeed. */
async function refusalOf(
  socket: WebSocket,
): Promise<{ status: number | undefined; answer: IncomingMessage; body: string }> {
  const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return { status: answer.statusCode, answer, body: Buffer.concat(chunks).toString() };
}

/** What comes back when `data` is said. */
async function say(socket: WebSocket, data: string | Buffer): Promise<{ data: Buffer; isBinary: boolean }> {
  const answered = once(socket, 'message') as Promise<[Buffer, boolean]>;
  socket.send(data);
  const [back, isBinary] = await answered;
  return { data: back, isBinary };
}

const handshake = (more = ''): string =>
  'GET /live/socket HTTP/1.1\r\nHost: test.invalid\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${more}\r\n`;

describe('a WebSocket through the sidecar', () => {
  it('carries text, binary and large frames both ways', async () => {
    await using upstream = await echoServer();
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const socket = dial(proxy.port);
    await once(socket, 'open');
    expect(await say(socket, 'héllo')).toMatchObject({ isBinary: false });
    const large = Buffer.alloc(100 * 1024, 'large');
    const back = await say(socket, large);
    expect(back.isBinary).toBe(true);
    expect(large.equals(back.data)).toBe(true);
    expect(upstream.connections[0]?.request.url).toBe('/socket?a=b');
    socket.close(1000, 'bye');
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([1000, 'bye']);
  });

  it('passes subprotocol, extensions and headers of the handshake in both directions', async () => {
    await using upstream = await echoServer({ perMessageDeflate: { threshold: 0 } });
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const headers = { Authorization: 'Bearer secret', Origin: 'http://agent.test' };
    const socket = dial(proxy.port, ['two', 'one'], { headers, perMessageDeflate: { threshold: 0 } });
    const upgraded = once(socket, 'upgrade') as Promise<[IncomingMessage]>;
    await once(socket, 'open');
    const [answer] = await upgraded;
    expect([socket.protocol, socket.extensions]).toEqual(['two', 'permessage-deflate']);
    expect(answer.headers['x-outrigger-attempts']).toBe('1');
    const [{ request } = { request: undefined }] = upstream.connections;
    expect(request?.headers).toMatchObject({
      authorization: 'Bearer secret',
      origin: 'http://agent.test',
      host: new URL(upstream.origin).host,
    });
    expect((await say(socket, 'x'.repeat(5_000))).data.toString()).toHaveLength(5_000);
    socket.terminate();
  });

  it('delivers a frame that the client sends in the same packet as its handshake', async () => {
    await using upstream = await scriptedUpstream([upgrade()]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await rawClient(proxy.port);
    const response = client.response();
    await client.send(`${handshake()}early bytes`);
    expect((await response).status).toBe(101);
    expect(String(await client.nextBytes())).toBe('early bytes');
    await client.send(' and later ones');
    expect(String(await client.nextBytes())).toBe(' and later ones');
    expect(upstream.malformed).toEqual([]);
  });

  it('delivers what the client sends between its handshake and the answer', async () => {
    const held = holdResponse(upgrade());
    await using upstream = await scriptedUpstream([held]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await rawClient(proxy.port);
    const response = client.response();
    await client.send(`${handshake()}early `);
    await held.waitForHeld();
    await client.send('bytes');
    await turns(5);
    held.release();
    expect((await response).status).toBe(101);
    await upstream.waitUntil(() => String(upstream.requests[0]?.tunnel) === 'early bytes', 'the early bytes');
  });

  it('delivers bytes that the upstream sends in the same packet as its answer', async () => {
    await using upstream = await scriptedUpstream([upgrade({ firstBytes: 'first words' })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await rawClient(proxy.port);
    const response = client.response();
    await client.send(handshake());
    expect((await response).header('upgrade')).toBe('websocket');
    expect(String(await client.nextBytes())).toBe('first words');
  });

  it('is counted as long as it is open, and told of once when it has ended', async () => {
    await using upstream = await echoServer();
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const sockets = [dial(proxy.port), dial(proxy.port)];
    await Promise.all(sockets.map((socket) => once(socket, 'open')));
    expect(await proxy.metric('outrigger_tunnels')).toBe(2);
    await say(sockets[0] as WebSocket, 'x');
    for (const socket of sockets) socket.close();
    const [ended] = await proxy.waitForEvent('exchange-ended', 2);
    expect(ended).toMatchObject({ status: 101, result: 'ok', reason: undefined });
    expect(await proxy.metric('outrigger_tunnels')).toBe(0);
    expect(await proxy.metric('outrigger_requests_in_flight')).toBe(0);
  });
});

describe('a handshake', () => {
  it('that the upstream refuses is answered with its own status, headers and body', async () => {
    const answer = { status: 403, headers: { 'x-why': 'no seat' }, body: 'no seat left' };
    await using upstream = await scriptedUpstream([refuseUpgrade(answer)]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const { status, answer: seen, body } = await refusalOf(dial(proxy.port));
    expect([status, seen.headers['x-why'], body]).toEqual([403, 'no seat', 'no seat left']);
    const [ended] = await proxy.waitForEvent('exchange-ended');
    expect(ended).toMatchObject({ status: 403, result: 'error' });
  });

  it('that is refused with a large body gets all of it, and the connection is closed', async () => {
    const body = 'x'.repeat(4 * 1024 * 1024);
    await using upstream = await scriptedUpstream([refuseUpgrade({ status: 403, body })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await rawClient(proxy.port);
    const response = client.response();
    await client.send(handshake());
    expect(await (await response).text()).toHaveLength(body.length);
    expect(await client.waitForEnd()).toBe('fin');
  });

  it('that cannot reach the upstream is answered with 502', async () => {
    await using nowhere = await closedPort();
    await using proxy = await startSidecar(
      routeTo(`http://127.0.0.1:${nowhere.port}`, 'policies: { retry: false }'),
    );
    const { status, answer, body } = await refusalOf(dial(proxy.port));
    expect([status, answer.headers['x-outrigger-code']]).toEqual([502, 'connection_refused']);
    expect(JSON.parse(body)).toMatchObject({ code: 'connection_refused' });
  });

  it('that one endpoint does not take is taken to the next', async () => {
    await using nowhere = await closedPort();
    await using upstream = await echoServer();
    const retry = 'policies: { retry: { maxRetries: 1, backoff: { initial: 1ms, max: 2ms } } }';
    const origins = [`http://127.0.0.1:${nowhere.port}`, upstream.origin];
    await using proxy = await startSidecar(routeTo(origins, retry));
    for (let n = 0; n < 2; n++) {
      const socket = dial(proxy.port);
      await once(socket, 'open');
      expect((await say(socket, 'here')).data.toString()).toBe('here');
      socket.terminate();
    }
    expect(proxy.eventsNamed('retry-scheduled').length).toBeGreaterThan(0);
  });

  it('that meets a connection which the upstream closes at that moment gets a new one', async () => {
    await using upstream = await scriptedUpstream([staleKeepAlive(), upgrade({ firstBytes: 'hello' })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await rawClient(proxy.port);
    await (await client.request({ path: '/live/x' })).text();
    const response = client.response();
    await client.send(handshake());
    expect((await response).status).toBe(101);
    expect(String(await client.nextBytes())).toBe('hello');
    expect(proxy.eventsNamed('retry-scheduled').map(({ cause }) => cause)).toEqual(['stale-connection']);
  });

  it('while the circuit is open is refused with 503 and a time to come back', async () => {
    await using upstream = await scriptedUpstream([refuseUpgrade({ status: 500 })]);
    const policies = 'policies: { retry: false, circuitBreaker: { consecutiveFailures: 1 } }';
    await using proxy = await startSidecar(routeTo(upstream.origin, policies));
    expect((await refusalOf(dial(proxy.port))).status).toBe(500);
    const { status, answer } = await refusalOf(dial(proxy.port));
    expect([status, answer.headers['x-outrigger-code']]).toEqual([503, 'circuit_open']);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(upstream.requests).toHaveLength(1);
  });

  it('that the upstream does not answer is given up in time', async () => {
    await using upstream = await scriptedUpstream([stall()]);
    const policies = 'policies: { retry: false, attemptTimeout: { firstByte: 100ms } }';
    await using proxy = await startSidecar(routeTo(upstream.origin, policies));
    const { status, answer } = await refusalOf(dial(proxy.port));
    expect([status, answer.headers['x-outrigger-code']]).toEqual([504, 'first_byte_timeout']);
    await upstream.waitForAbort();
  });

  it.each(['destroy', 'reset', 'halfClose'] as const)(
    'whose client leaves (%s) before the answer ends at the upstream',
    async (leave) => {
      await using upstream = await scriptedUpstream([stall()]);
      await using proxy = await startSidecar(routeTo(upstream.origin));
      await using client = await rawClient(proxy.port);
      await client.send(handshake());
      await upstream.waitForRequest();
      client[leave]();
      await upstream.waitForAbort();
      expect((await proxy.waitForEvent('exchange-ended'))[0]).toMatchObject({
        result: 'aborted',
        status: 499,
      });
    },
  );

  it('without a route is answered with 404, and the connection stays of use', async () => {
    await using upstream = await scriptedUpstream([upgrade()]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await rawClient(proxy.port);
    for (const [path, status] of [
      ['/elsewhere/', 404],
      ['/live/', 101],
    ] as const) {
      const response = client.response();
      await client.send(handshake().replace('/live/', path));
      expect((await response).status).toBe(status);
    }
  });
});

describe('protocols', () => {
  it.each([
    [
      'h2c',
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n',
    ],
    ['one that is not known', 'Connection: Upgrade\r\nUpgrade: irc/6.9\r\n'],
    ['several at once', 'Connection: Upgrade\r\nUpgrade: websocket, irc/6.9\r\n'],
  ])('an upgrade to %s is an ordinary request, body included', async (_, fields) => {
    await using upstream = await scriptedUpstream([respond({ body: 'plain' })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await rawClient(proxy.port);
    for (let n = 0; n < 2; n++) {
      const response = client.response();
      await client.send(`POST /live/x HTTP/1.1\r\nHost: a\r\n${fields}Content-Length: 4\r\n\r\nbody`);
      expect(await (await response).text()).toBe('plain');
      const seen = upstream.requests[n];
      expect([seen?.text(), seen?.header('upgrade'), seen?.header('http2-settings')]).toEqual([
        'body',
        undefined,
        undefined,
      ]);
    }
  });

  it('others than WebSocket are joined where they are configured', async () => {
    await using upstream = await scriptedUpstream([upgrade({ protocol: 'echo/1' })]);
    await using proxy = await startSidecar(routeTo(upstream.origin, 'upgrades: [Echo/1]'));
    await using client = await rawClient(proxy.port);
    const response = client.response();
    await client.send('GET /live/x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: ECHO/1\r\n\r\n');
    expect((await response).header('upgrade')).toBe('echo/1');
    await client.send('hello');
    expect(String(await client.nextBytes())).toBe('hello');
  });

  it('WebSocket is an ordinary request where an upstream does not allow it', async () => {
    await using upstream = await scriptedUpstream([respond({ body: 'plain' })]);
    await using proxy = await startSidecar(routeTo(upstream.origin, 'upgrades: []'));
    await using client = await rawClient(proxy.port);
    const response = client.response();
    await client.send(handshake());
    expect(await (await response).text()).toBe('plain');
    expect(upstream.requests[0]?.header('upgrade')).toBeUndefined();
  });
});
