import { constants } from 'node:http2';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { closedPort, tlsStall } from '../support/dead-ports.ts';
import { rawClient, request } from '../support/raw-client.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { tlsFile } from '../support/tls/identities.ts';
import { frameUpstream } from './h2-frames.ts';
import { answer, h2Upstream } from './h2-upstream.ts';

const RETRY_SOON = 'policies: { retry: { maxRetries: 2, backoff: { initial: 1ms, max: 2ms } } }';
const NO_RETRY = 'policies: { retry: false }';

const routeTo = (origin: string, more = ''): string => `
upstreams:
  fast:
    route: /fast
    http2: true
    endpoints: [{ url: "${origin}" }]
    tls: { caFile: ${tlsFile('ca.cert.pem')} }
    ${more}
`;

const { NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM } = constants;

it('a stream that is reset before its answer is tried again on the same connection, as a failure like others', async () => {
  await using upstream = await h2Upstream((seen, n) => {
    if (n === 2) seen.stream.close(NGHTTP2_INTERNAL_ERROR);
    else answer('ok')(seen, n);
  });
  await using proxy = await startSidecar(routeTo(upstream.origin, RETRY_SOON));
  expect(await (await request(proxy.port, { path: '/fast/1' })).text()).toBe('ok');
  const response = await request(proxy.port, { path: '/fast/2' });
  expect([await response.text(), response.header('x-outrigger-attempts')]).toEqual(['ok', '2']);
  // Not the keep-alive race: the connection lives, and this retry is one that the budget pays for.
  expect(proxy.eventsNamed('retry-scheduled').map(({ cause }) => cause)).toEqual(['transient']);
  expect(upstream.sessions).toHaveLength(1);
});

it('a POST whose stream is reset is not sent again', async () => {
  await using upstream = await h2Upstream(({ stream }) => stream.close(NGHTTP2_INTERNAL_ERROR));
  await using proxy = await startSidecar(routeTo(upstream.origin, RETRY_SOON));
  const response = await request(proxy.port, { method: 'POST', path: '/fast/x', body: 'x' });
  expect([response.status, response.header('x-outrigger-code')]).toEqual([502, 'connection_reset']);
  expect(upstream.streams).toHaveLength(1);
});

it('a stream that is refused was not processed (RFC 9113 §8.7): even a POST is sent again', async () => {
  await using upstream = await h2Upstream((seen, n) => {
    if (n <= 3) seen.stream.close(NGHTTP2_REFUSED_STREAM);
    else answer('ok')(seen, n);
  });
  await using proxy = await startSidecar(routeTo(upstream.origin, RETRY_SOON));
  const response = await request(proxy.port, { method: 'POST', path: '/fast/x', body: 'x' });
  expect([response.status, await response.text()]).toEqual([200, 'ok']);
});

it('a stream that is reset in the middle of its answer breaks that of the client, and no other', async () => {
  await using upstream = await frameUpstream((frames, stream, { n }) => {
    frames.head(stream);
    frames.data(stream, n === 1 ? 'some' : 'whole', n > 1);
    if (n === 2) frames.reset(1, NGHTTP2_INTERNAL_ERROR);
  });
  await using proxy = await startSidecar(routeTo(upstream.origin, RETRY_SOON));
  const response = await request(proxy.port, { path: '/fast/x' });
  await response.waitForBytes(4);
  expect(await (await request(proxy.port, { path: '/fast/x' })).text()).toBe('whole');
  expect(await response.ended()).toBe('cut');
  const [, ended] = await proxy.waitForEvent('exchange-ended', 2);
  expect(ended).toMatchObject({ result: 'error', reason: 'response_incomplete' });
});

it.each(['NGHTTP2_CANCEL', 'NGHTTP2_REFUSED_STREAM', 'NGHTTP2_ENHANCE_YOUR_CALM'] as const)(
  'an answer of unknown length that is reset with %s is not taken for whole',
  async (code) => {
    await using upstream = await frameUpstream((frames, stream) => {
      frames.head(stream);
      frames.data(stream, 'some');
      frames.reset(stream, constants[code]);
    });
    await using proxy = await startSidecar(routeTo(upstream.origin, NO_RETRY));
    const response = await request(proxy.port, { path: '/fast/x' });
    expect(await response.ended()).toBe('cut');
    const [ended] = await proxy.waitForEvent('exchange-ended');
    expect(ended).toMatchObject({ result: 'error', reason: 'response_incomplete' });
  },
);

it('an answer shorter than it announced is not taken for whole', async () => {
  await using upstream = await h2Upstream(({ stream }) => {
    stream.respond({ ':status': 200, 'content-length': '100' });
    stream.end('short');
  });
  await using proxy = await startSidecar(routeTo(upstream.origin, NO_RETRY));
  const response = await request(proxy.port, { path: '/fast/x' });
  expect(await response.ended()).not.toBe('complete');
  expect((await proxy.waitForEvent('exchange-ended'))[0]?.result).toBe('error');
});

it('a connection that says goodbye (GOAWAY) finishes what it has, and the next request takes a new one', async () => {
  await using upstream = await h2Upstream((seen, n) => {
    if (n === 1) seen.stream.respond({ ':status': 200 });
    else answer('new')(seen, n);
  });
  await using proxy = await startSidecar(routeTo(upstream.origin));
  const first = await request(proxy.port, { path: '/fast/1' });
  upstream.sessions[0]?.close();
  const second = await request(proxy.port, { path: '/fast/2' });
  expect(await second.text()).toBe('new');
  upstream.streams[0]?.stream.end('finished');
  expect(await first.text()).toBe('finished');
  expect(upstream.streams.map(({ connection }) => connection)).toEqual([0, 1]);
});

it('requests behind the last one that a GOAWAY names are sent again on a new connection', async () => {
  const connections: number[] = [];
  await using upstream = await frameUpstream((frames, stream, { connection }) => {
    connections.push(connection);
    if (connection === 1) return frames.goaway(0, 0);
    frames.head(stream);
    frames.data(stream, 'again', true);
  });
  await using proxy = await startSidecar(routeTo(upstream.origin, RETRY_SOON));
  const response = await request(proxy.port, { method: 'POST', path: '/fast/x', body: 'x' });
  expect([response.status, await response.text()]).toEqual([200, 'again']);
  expect(connections).toEqual([1, 2]);
});

it('an upstream that says goodbye to everything is given up after the last retry', async () => {
  await using upstream = await frameUpstream((frames) => frames.goaway(0, 0));
  await using proxy = await startSidecar(routeTo(upstream.origin, RETRY_SOON));
  const response = await request(proxy.port, { path: '/fast/x' });
  expect([response.status, response.header('x-outrigger-attempts')]).toEqual([502, '3']);
});

it('a connection that dies takes its answers with it, and the next request gets a new one', async () => {
  await using upstream = await h2Upstream((seen, n) => {
    if (n === 1) seen.stream.respond({ ':status': 200 });
    if (n > 2) answer('new')(seen, n);
  });
  await using proxy = await startSidecar(routeTo(upstream.origin, NO_RETRY));
  const begun = await request(proxy.port, { path: '/fast/1' });
  const waiting = request(proxy.port, { method: 'POST', path: '/fast/2', body: 'x' });
  await upstream.waitForStream(2);
  upstream.sessions[0]?.destroy();
  expect(await begun.ended()).not.toBe('complete');
  expect((await waiting).header('x-outrigger-code')).toBe('connection_reset');
  expect(await (await request(proxy.port, { path: '/fast/3' })).text()).toBe('new');
});

it('many requests to a port that refuses connections fail together, and soon', async () => {
  await using nowhere = await closedPort();
  await using proxy = await startSidecar(routeTo(`https://127.0.0.1:${nowhere.port}`, NO_RETRY));
  const responses = Array.from({ length: 4 }, () => request(proxy.port, { path: '/fast/x' }));
  for (const response of await Promise.all(responses))
    expect(response.header('x-outrigger-code')).toBe('connection_refused');
});

it('a handshake that never ends holds nobody longer than the time to connect', async () => {
  await using stalled = await tlsStall();
  const policies = 'policies: { retry: false, attemptTimeout: { connect: 150ms } }';
  await using proxy = await startSidecar(routeTo(`https://127.0.0.1:${stalled.port}`, policies));
  const responses = Array.from({ length: 3 }, () => request(proxy.port, { path: '/fast/x' }));
  for (const response of await Promise.all(responses))
    expect(response.header('x-outrigger-code')).toBe('connection_timeout');
});

it.each([
  ['of known length', 'Content-Length: 10\r\n\r\nhalf'],
  ['of unknown length', 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
])(
  'a client that leaves in the middle of an upload %s resets the stream, and no other',
  async (_, upload) => {
    await using upstream = await h2Upstream(({ stream }, n) => {
      if (n === 1) stream.respond({ ':status': 200 });
      stream.resume();
    });
    await using proxy = await startSidecar(routeTo(upstream.origin, 'bufferFirst: 1B'));
    const other = await request(proxy.port, { path: '/fast/x' });
    await using client = await rawClient(proxy.port);
    await client.send(`POST /fast/x HTTP/1.1\r\nHost: a\r\n${upload}`);
    const { stream } = await upstream.waitForStream(2);
    // Nothing shorter may be taken for the whole.
    let tookItForWhole = false;
    stream.on('end', () => (tookItForWhole = !stream.aborted));
    client.destroy();
    await upstream.waitForAbort(2);
    expect(tookItForWhole).toBe(false);
    expect((await proxy.waitForEvent('exchange-ended'))[0]?.result).toBe('aborted');
    upstream.streams[0]?.stream.end('undisturbed');
    expect(await other.text()).toBe('undisturbed');
  },
);

it('an upstream that reads no upload is given up in time, and its stream is reset', async () => {
  await using upstream = await h2Upstream(() => undefined);
  const policies = 'policies: { retry: false, attemptTimeout: { idle: 300ms } }';
  await using proxy = await startSidecar(routeTo(upstream.origin, policies));
  const body = Buffer.alloc(8 * 1024 * 1024, 'x');
  const response = await request(proxy.port, { method: 'POST', path: '/fast/x', body });
  expect([response.status, response.header('x-outrigger-code')]).toEqual([504, 'write_timeout']);
  await upstream.waitForAbort();
  expect(upstream.sessions[0]?.destroyed).toBe(false);
});

it('an answer that comes before the end of the upload arrives', async () => {
  await using upstream = await h2Upstream(({ stream }) => {
    stream.respond({ ':status': 413 });
    stream.end('too large');
  });
  await using proxy = await startSidecar(routeTo(upstream.origin, 'bufferFirst: 1B'));
  await using client = await rawClient(proxy.port);
  const response = client.response('POST');
  await client.send('POST /fast/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nfirst');
  expect([(await response).status, await (await response).text()]).toEqual([413, 'too large']);
});

it.each(['GET', 'DELETE'])('a %s with a body keeps it', async (method) => {
  await using upstream = await h2Upstream((seen, n) => {
    void text(seen.stream).then((body) => answer(body)(seen, n));
  });
  await using proxy = await startSidecar(routeTo(upstream.origin));
  const response = await request(proxy.port, { method, path: '/fast/x', body: 'a body' });
  expect(await response.text()).toBe('a body');
});
