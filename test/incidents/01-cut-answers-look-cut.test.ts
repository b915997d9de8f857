/**
 * An upstream was cut in the middle of its answer, and the proxy ended the message to the client as if that were all of
 * it. Whatever the framing and whoever the client: what was not whole does not look whole. Nothing may be added to an
 * answer whose protocol is unknown, so the connection breaks.
 */
import http from 'node:http';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { stage } from '../e2e/stage.ts';
import { rawClient } from '../support/raw-client.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { cutMidBody, cutMidChunk, resetMidBody } from '../support/steps/cuts.ts';
import { sse } from '../support/steps/event-stream.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { turns } from '../support/turns.ts';

const MIB = 1024 * 1024;
/** Little enough to be taken although the client does not read. */
const PIECE = Buffer.alloc(16 * 1024, 'x');

type Seen = 'whole' | 'broken';

async function byFetch(port: number): Promise<Seen> {
  const response = await fetch(`http://127.0.0.1:${port}/api/x`);
  return response.text().then(
    () => 'whole',
    () => 'broken',
  );
}

async function byNode(port: number): Promise<Seen> {
  const agent = new http.Agent();
  const [response] = (await once(http.get({ port, path: '/api/x', agent }), 'response')) as [
    http.IncomingMessage,
  ];
  response.on('error', () => undefined).resume();
  await new Promise((resolve) => response.once('close', resolve));
  agent.destroy();
  return response.complete ? 'whole' : 'broken';
}

/** Without chunks, where only a length or the kind of the connection's end can tell. */
async function byHttp10(port: number): Promise<Seen> {
  await using client = await rawClient(port);
  void client.send('GET /api/x HTTP/1.0\r\n\r\n');
  return (await (await client.response()).ended()) === 'complete' ? 'whole' : 'broken';
}

const asSeenByAll = async (port: number): Promise<Record<string, Seen>> => ({
  fetch: await byFetch(port),
  node: await byNode(port),
  http10: await byHttp10(port),
});

const fromHttp10 = (fields: string, by: 'fin' | 'reset'): RequestStep => ({
  name: 'an answer of HTTP/1.0',
  startsAt: 'body',
  run: async (exchange) => {
    await exchange.write(`HTTP/1.0 200 OK\r\n${fields}\r\npartial`);
    if (by === 'fin') exchange.finish();
    else exchange.reset();
  },
});

it.each<[string, RequestStep]>([
  ['chunks, cut between two', cutMidBody({ framing: 'chunked' })],
  ['chunks, cut inside one', cutMidChunk()],
  ['chunks, reset', resetMidBody({ framing: 'chunked' })],
  ['a length, cut', cutMidBody()],
  ['a length, reset', resetMidBody()],
  ['a length under HTTP/1.0, cut', fromHttp10('content-length: 100\r\n', 'fin')],
  ['no framing under HTTP/1.0, reset', fromHttp10('', 'reset')],
  ['an event stream, cut', sse({ events: ['one', 'two'], end: 'cut' })],
  ['an event stream, reset', sse({ events: ['one', 'two'], end: 'reset' })],
  ['an event stream without framing, reset', sse({ events: ['one'], end: 'reset', framing: 'close' })],
])('%s: every client sees that it is broken', async (_, step) => {
  await using on = await stage([step]);
  expect(await asSeenByAll(on.port)).toEqual({ fetch: 'broken', node: 'broken', http10: 'broken' });
  const endings = await on.sidecar.waitForEvent('exchange-ended', 3);
  expect(endings.map(({ result, reason }) => [result, reason])).toEqual(
    Array.from({ length: 3 }, () => ['error', 'response_incomplete']),
  );
  expect(on.upstream.requests).toHaveLength(3);
});

it.each<[string, RequestStep]>([
  ['chunks', respond({ framing: 'chunked', body: ['part', 'ial'] })],
  ['a length', respond({ body: 'partial' })],
  ['the end of an HTTP/1.0 connection', fromHttp10('', 'fin')],
  ['an event stream', sse({ events: ['one', 'two'], terminator: '[DONE]' })],
])('%s that ended as it should is whole to the same clients', async (_, step) => {
  await using on = await stage([step]);
  expect(await asSeenByAll(on.port)).toEqual({ fetch: 'whole', node: 'whole', http10: 'whole' });
});

/** The sidecar's end of the connection on which the next request comes. */
function nextClientSocket(): Promise<Socket> {
  return new Promise((resolve) => {
    const onRequest = (message: unknown): void => {
      unsubscribe('http.server.request.start', onRequest);
      resolve((message as { socket: Socket }).socket);
    };
    subscribe('http.server.request.start', onRequest);
  });
}

it('a client that is slow gets all that came before the cut, and then the cut', async () => {
  const stream = controlledStream();
  await using on = await stage([stream]);
  await using client = await rawClient(on.port);
  const accepted = nextClientSocket();
  const answer = client.request({ path: '/api/x' });
  await stream.head();
  const response = await answer;
  const socket = await accepted;
  client.pause();
  let sent = 0;
  for (; socket.writableLength === 0 && sent < 64 * MIB; sent += PIECE.length) {
    await stream.write(PIECE);
    await turns(1);
  }
  expect(socket.writableLength).toBeGreaterThan(0);
  await stream.cut();
  await on.upstream.waitForOpenConnections(0);
  await turns(5);
  client.resume();
  expect(await response.ended()).toBe('cut');
  expect(response.received.length).toBe(sent);
});
