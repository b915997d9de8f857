import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { Pool, request } from 'undici';
import { describe, expect, it } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond, respondJson, respondWith } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { failureOf } from './fixture.ts';

const routeTo = (origin: string): string => `
upstreams: { api: { route: /api, endpoints: [{ url: "${origin}" }] } }
`;

/** One request with Node's own client, read to its end. */
async function viaHttp(options: RequestOptions) {
  const sending = httpRequest({ host: '127.0.0.1', ...options });
  sending.end();
  const [answer] = (await once(sending, 'response')) as [IncomingMessage];
  const { localPort } = answer.socket;
  return { headers: answer.headers, localPort, body: await text(answer) };
}

describe('fetch of Node', () => {
  it('takes compressed answers apart itself: the sidecar passes them as they are', async () => {
    const packed = gzipSync('{"ok":true}');
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    await using upstream = await scriptedUpstream([respond({ headers, body: packed })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const response = await fetch(`http://127.0.0.1:${proxy.port}/api/x`);
    expect(response.headers.get('content-length')).toBe(String(packed.length));
    expect(await response.json()).toEqual({ ok: true });
    expect(upstream.requests[0]?.header('accept-encoding')).toContain('gzip');
  });

  it('streams an upload of unknown length, while the upstream reads it', async () => {
    const answer = controlledStream('head');
    await using upstream = await scriptedUpstream([answer]);
    await using proxy = await startSidecar(`
upstreams: { api: { route: /api, bufferFirst: 1B, endpoints: [{ url: "${upstream.origin}" }] } }
`);
    const upload = new TransformStream<Uint8Array, Uint8Array>();
    const writer = upload.writable.getWriter();
    const init = { method: 'POST', body: upload.readable, duplex: 'half' };
    const sending = fetch(`http://127.0.0.1:${proxy.port}/api/x`, init as RequestInit);
    await writer.write(Buffer.from('one '));
    const seen = await upstream.waitForRequestHead();
    await upstream.waitUntil(() => seen.text() === 'one ', 'the first piece');
    await writer.write(Buffer.from('two'));
    await writer.close();
    await upstream.waitForRequest();
    await answer.head({ headers: { 'content-length': '0' } });
    await answer.end();
    expect((await sending).status).toBe(200);
    expect(seen.text()).toBe('one two');
    expect(seen.header('transfer-encoding')).toBe('chunked');
  });

  it('follows redirects itself: the sidecar passes them', async () => {
    const moved = { status: 307, headers: { location: '/api/there' } };
    await using upstream = await scriptedUpstream([respond(moved), respond({ body: 'there' })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const response = await fetch(`http://127.0.0.1:${proxy.port}/api/here`);
    expect([response.redirected, await response.text()]).toEqual([true, 'there']);
    expect(upstream.requests.map(({ target }) => target)).toEqual(['/here', '/there']);
  });

  it('sees every Set-Cookie on its own', async () => {
    const headers = [
      ['set-cookie', 'a=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT'],
      ['set-cookie', 'b=2'],
    ] as const;
    await using upstream = await scriptedUpstream([respond({ headers })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const response = await fetch(`http://127.0.0.1:${proxy.port}/api/x`);
    expect(response.headers.getSetCookie()).toEqual(headers.map(([, value]) => value));
  });
});

describe('undici', () => {
  it('keeps one connection for many requests, as the sidecar does to the upstream', async () => {
    await using upstream = await scriptedUpstream([respondWith(({ target }) => ({ body: target }))]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const pool = new Pool(`http://127.0.0.1:${proxy.port}`, { connections: 1 });
    for (const path of ['/a', '/b', '/c']) {
      const { statusCode, body } = await pool.request({ method: 'GET', path: `/api${path}` });
      expect([statusCode, await body.text()]).toEqual([200, path]);
    }
    expect(pool.stats.connected).toBe(1);
    expect(upstream.connections.opened).toBe(1);
    await pool.close();
  });

  it('gets trailers', async () => {
    await using upstream = await scriptedUpstream([
      respond({ body: 'x', framing: 'chunked', headers: { trailer: 'x-sum' }, trailers: { 'x-sum': '1' } }),
    ]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const { body, trailers } = await request(`http://127.0.0.1:${proxy.port}/api/x`);
    await body.text();
    expect(trailers).toEqual({ 'x-sum': '1' });
  });

  it('HEAD has the length of the body and no body, time and again', async () => {
    await using upstream = await scriptedUpstream([respond({ body: 'twelve bytes' })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const pool = new Pool(`http://127.0.0.1:${proxy.port}`, { connections: 1 });
    for (let n = 0; n < 3; n++) {
      const { headers, body } = await pool.request({ method: 'HEAD', path: '/api/x', reset: false });
      expect([headers['content-length'], await body.text()]).toEqual(['12', '']);
    }
    await pool.close();
  });

  it('destroying the body in the middle ends the call upstream', async () => {
    const answer = controlledStream();
    await using upstream = await scriptedUpstream([answer]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const pending = request(`http://127.0.0.1:${proxy.port}/api/x`);
    await answer.head();
    const { body } = await pending;
    await answer.write('some');
    body.on('error', () => undefined).destroy();
    await upstream.waitForAbort();
    expect((await proxy.waitForEvent('exchange-ended'))[0]?.result).toBe('aborted');
  });
});

describe('the client of Node', () => {
  it('keeps its connection with an agent, and sends names in its own case', async () => {
    await using upstream = await scriptedUpstream([respondJson({ ok: true })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    for (let n = 0; n < 3; n++) {
      const { headers, localPort, body } = await viaHttp({
        agent,
        port: proxy.port,
        path: '/api/x',
        headers: { 'X-CamelCase': 'kept' },
      });
      ports.add(localPort);
      expect(body).toBe('{"ok":true}');
      expect(headers['keep-alive']).toBe('timeout=72');
    }
    agent.destroy();
    expect(ports.size).toBe(1);
    expect(upstream.requests[0]?.rawHeaders).toContainEqual(['X-CamelCase', 'kept']);
  });

  it('aborting in the middle of an upload ends the upload upstream: nothing shorter is taken for the whole', async () => {
    await using upstream = await scriptedUpstream([respond()]);
    await using proxy = await startSidecar(`
upstreams: { api: { route: /api, bufferFirst: 1B, endpoints: [{ url: "${upstream.origin}" }] } }
`);
    const options = { host: '127.0.0.1', port: proxy.port, path: '/api/x', method: 'POST' };
    const sending = httpRequest({ ...options, headers: { 'content-length': 10 } });
    const failed = failureOf(once(sending, 'response'));
    sending.write('half');
    await upstream.waitForRequestHead();
    sending.destroy();
    await failed;
    expect((await upstream.waitForRequest()).upload).toBe('cut');
    expect((await proxy.waitForEvent('exchange-ended'))[0]?.result).toBe('aborted');
  });
});

describe('a client that speaks HTTP/1.0', () => {
  it('gets an answer without chunks, whose end is that of the connection', async () => {
    await using upstream = await scriptedUpstream([respond({ body: ['one ', 'two'], framing: 'chunked' })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await rawClient(proxy.port);
    const response = client.response();
    await client.send('GET /api/x HTTP/1.0\r\n\r\n');
    const answer = await response;
    expect(answer.header('transfer-encoding')).toBeUndefined();
    expect(answer.header('connection')).toBe('close');
    expect(await answer.text()).toBe('one two');
    expect(upstream.requests[0]?.version).toBe('1.1');
    expect(upstream.requests[0]?.header('host')).toBe(`127.0.0.1:${upstream.port}`);
  });

  it('sees a reset, and not an end, when such an answer breaks off', async () => {
    const answer = controlledStream();
    await using upstream = await scriptedUpstream([answer]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await rawClient(proxy.port);
    const response = client.response();
    await client.send('GET /api/x HTTP/1.0\r\nHost: test.invalid\r\n\r\n');
    await answer.head();
    await answer.write('some');
    await (await response).waitForBytes(4);
    await answer.cut();
    expect(await (await response).ended()).toBe('reset');
  });

  it('keeps its connection where it asks for it and the length is known', async () => {
    await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await rawClient(proxy.port);
    for (let n = 0; n < 2; n++) {
      const response = client.response();
      await client.send('GET /api/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
      expect(await (await response).text()).toBe('ok');
    }
  });
});
