import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { rawClient, request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { eventData } from '../support/sse.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respondWith } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { tlsFile } from '../support/tls/identities.ts';
import { answer, h2Upstream } from './h2-upstream.ts';

const NO_RETRY = 'policies: { retry: false }';

const routeTo = (origin: string, more = '', http2 = true): string => `
upstreams:
  fast:
    route: /fast
    http2: ${http2}
    endpoints: [{ url: "${origin}" }]
    tls: { caFile: ${tlsFile('ca.cert.pem')} }
    ${more}
`;

describe('an upstream that speaks HTTP/2', () => {
  it('gets the request as it is, and its answer arrives as it is', async () => {
    const cookies = ['a=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT', 'b=2'];
    await using upstream = await h2Upstream(({ stream }, n) => {
      void text(stream).then((body) =>
        answer(`${n}: ${body}`, { 'set-cookie': cookies, 'x-many': 'ä' })({ stream } as never, n),
      );
    });
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const headers = { 'X-Mixed-Case': 'kept', cookie: 'c=3' };
    const response = await request(proxy.port, {
      method: 'POST',
      path: '/fast/x?y=%zz',
      headers,
      body: 'hello',
    });
    expect([response.status, await response.text()]).toEqual([200, '1: hello']);
    expect(response.headers('set-cookie')).toEqual(cookies);
    expect(response.headers('content-length')).toEqual(['8']);
    expect(upstream.streams[0]?.headers).toMatchObject({
      ':method': 'POST',
      ':path': '/x?y=%zz',
      ':authority': new URL(upstream.origin).host,
      'content-length': '5',
      'x-mixed-case': 'kept',
      cookie: 'c=3',
    });
    expect(upstream.streams[0]?.headers.connection).toBeUndefined();
  });

  it('is spoken to in HTTP/1.1 unless told otherwise', async () => {
    await using upstream = await h2Upstream(() => undefined, { allowHttp1: true });
    upstream.server.on('request', (req: IncomingMessage, res: ServerResponse) => res.end(req.httpVersion));
    await using proxy = await startSidecar(routeTo(upstream.origin, '', false));
    expect(await (await request(proxy.port, { path: '/fast/x' })).text()).toBe('1.1');
    expect(upstream.sessions).toEqual([]);
  });

  it('gets many requests at a time over one connection, the very first ones too', async () => {
    await using upstream = await h2Upstream(({ stream, headers }) => {
      stream.respond({ ':status': 200 });
      setImmediate(() => stream.end(headers[':path']));
    });
    await using proxy = await startSidecar(routeTo(upstream.origin));
    for (let round = 0; round < 2; round++) {
      const paths = Array.from({ length: 20 }, (_, n) => `/${round}/${n}`);
      const bodies = paths.map(async (path) => (await request(proxy.port, { path: `/fast${path}` })).text());
      expect(await Promise.all(bodies)).toEqual(paths);
    }
    expect(upstream.sessions).toHaveLength(1);
  });

  it('that allows few streams gets further connections: nobody waits for somebody else’s answer', async () => {
    await using upstream = await h2Upstream(
      (seen, n) => {
        if (n <= 2) seen.stream.respond({ ':status': 200 });
        else answer('free')(seen, n);
      },
      { maxConcurrentStreams: 2 },
    );
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await Promise.all([request(proxy.port, { path: '/fast/1' }), request(proxy.port, { path: '/fast/2' })]);
    expect(await (await request(proxy.port, { path: '/fast/3' })).text()).toBe('free');
    expect(upstream.sessions).toHaveLength(2);
  });

  it('streams events, each before the next is sent', async () => {
    await using upstream = await h2Upstream(({ stream }) =>
      stream.respond({ ':status': 200, 'content-type': 'text/event-stream' }),
    );
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const response = await request(proxy.port, { path: '/fast/events' });
    const { stream } = await upstream.waitForStream();
    for (const word of ['one', 'two']) {
      stream.write(`data: ${word}\n\n`);
      expect(eventData((await response.nextChunk())?.bytes ?? '')).toEqual([word]);
    }
    stream.end();
    expect(await response.ended()).toBe('complete');
  });

  it('gets an upload as it comes, of known and of unknown length', async () => {
    await using upstream = await h2Upstream(({ stream }, n) => {
      void text(stream).then((body) => answer(String(body.length))({ stream } as never, n));
    });
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const body = Buffer.alloc(2 * 1024 * 1024, 'x');
    for (const chunked of [false, true]) {
      const response = await request(proxy.port, { method: 'PUT', path: '/fast/x', body, chunked });
      expect(await response.text()).toBe(String(body.length));
    }
    expect(upstream.streams.map(({ headers }) => headers['content-length'])).toEqual([
      String(body.length),
      undefined,
    ]);
  });

  it('sends interim answers, trailers, and answers without a body', async () => {
    await using upstream = await h2Upstream(({ stream, headers }) => {
      if (headers[':method'] === 'HEAD')
        return stream.respond({ ':status': 200, 'content-length': 7 }, { endStream: true });
      stream.additionalHeaders({ ':status': 103, link: '</a>; rel=preload' });
      stream.respond({ ':status': 200, trailer: 'x-sum' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1' }));
      stream.end('body');
    });
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const response = await request(proxy.port, { path: '/fast/x' });
    expect(await response.text()).toBe('body');
    expect(response.interim.map(({ status }) => status)).toEqual([103]);
    expect(response.trailers).toEqual([['x-sum', '1']]);
    const head = await request(proxy.port, { method: 'HEAD', path: '/fast/x' });
    expect([head.header('content-length'), await head.text()]).toEqual(['7', '']);
  });

  it('that offers HTTP/1.1 only gets no request behind another on one connection', async () => {
    const first = controlledStream();
    await using upstream = await scriptedUpstream(
      (_request, n) => (n === 1 ? first : respondWith(({ connection }) => ({ body: String(connection) }))),
      { tls: {} },
    );
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const held = request(proxy.port, { path: '/fast/1' });
    await first.head();
    const others = [2, 3].map(async (n) => (await request(proxy.port, { path: `/fast/${n}` })).text());
    expect(await Promise.all(others)).not.toContain('1');
    await first.end();
    await (await held).text();
  });
});

describe('what a client sends', () => {
  it.each([
    ['a field that HTTP/2 forbids', [['HTTP2-Settings', 'AAMAAABkAAQCAAAAAAIAAAAA']]],
    [
      'a field twice in different case',
      [
        ['Authorization', 'a'],
        ['authorization', 'b'],
      ],
    ],
    [
      'a hop-by-hop field',
      [
        ['TE', 'gzip'],
        ['Proxy-Connection', 'keep-alive'],
        ['Keep-Alive', '5'],
      ],
    ],
    ['bytes that are no ASCII', [['X-A', '\xe4\xff']]],
    [
      'a name of JavaScript',
      [
        ['__proto__', 'x'],
        ['constructor', 'y'],
      ],
    ],
  ] satisfies [string, [string, string][]][])(
    '%s does not disturb the requests of others on the same connection',
    async (_, headers) => {
      await using upstream = await h2Upstream((seen, n) => {
        if (n === 1) seen.stream.respond({ ':status': 200 });
        else answer('ok')(seen, n);
      });
      await using proxy = await startSidecar(routeTo(upstream.origin, NO_RETRY));
      const other = await request(proxy.port, { path: '/fast/slow' });
      const response = await request(proxy.port, { path: '/fast/x', headers });
      expect([response.status, await response.text()]).toEqual([200, 'ok']);
      upstream.streams[0]?.stream.end('undisturbed');
      expect(await other.text()).toBe('undisturbed');
      expect(upstream.sessions).toHaveLength(1);
    },
  );

  it('cookies in several fields stay cookies', async () => {
    await using upstream = await h2Upstream(answer('ok'));
    await using proxy = await startSidecar(routeTo(upstream.origin));
    const headers = [
      ['Cookie', 'a=1'],
      ['Cookie', 'b=2'],
    ] as const;
    await (await request(proxy.port, { path: '/fast/x', headers })).text();
    expect(upstream.streams[0]?.headers.cookie).toBe('a=1; b=2');
  });

  it('an Upgrade goes over HTTP/1.1, for protocols are not switched in HTTP/2', async () => {
    await using upstream = await h2Upstream(answer('h2'), { allowHttp1: true });
    upstream.server.on('upgrade', (_req: IncomingMessage, socket: Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
      socket.pipe(socket);
    });
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using client = await rawClient(proxy.port);
    const headers = { connection: 'upgrade', upgrade: 'websocket' };
    expect((await client.request({ path: '/fast/x', headers })).status).toBe(101);
    await client.send('echo');
    expect(String(await client.nextBytes())).toBe('echo');
    expect(await (await request(proxy.port, { path: '/fast/x' })).text()).toBe('h2');
  });
});

describe('time and backpressure', () => {
  it.each([
    ['first_byte_timeout', 'firstByte: 150ms', 504],
    ['idle_timeout', 'idle: 150ms', 200],
  ])('%s ends the stream and leaves the connection', async (reason, bound, status) => {
    await using upstream = await h2Upstream((seen, n) => {
      if (n > 1) answer('ok')(seen, n);
      else if (status === 200) seen.stream.respond({ ':status': 200 });
    });
    const policies = `policies: { retry: false, attemptTimeout: { ${bound} } }`;
    await using proxy = await startSidecar(routeTo(upstream.origin, policies));
    const response = await request(proxy.port, { path: '/fast/x' });
    expect(response.status).toBe(status);
    await upstream.waitForAbort();
    expect((await proxy.waitForEvent('exchange-ended'))[0]?.reason).toBe(reason);
    expect(await (await request(proxy.port, { path: '/fast/x' })).text()).toBe('ok');
    expect(upstream.sessions).toHaveLength(1);
  });

  it.each(['before', 'after'])(
    'a client that leaves %s the head ends its stream and nothing else',
    async (when) => {
      await using upstream = await h2Upstream((seen, n) => {
        if (n === 1 || when === 'after') seen.stream.respond({ ':status': 200 });
      });
      await using proxy = await startSidecar(routeTo(upstream.origin));
      const other = await request(proxy.port, { path: '/fast/other' });
      await using client = await rawClient(proxy.port);
      await client.send('GET /fast/x HTTP/1.1\r\nHost: a\r\n\r\n');
      await upstream.waitForStream(2);
      client.destroy();
      await upstream.waitForAbort(2);
      expect((await proxy.waitForEvent('exchange-ended'))[0]?.result).toBe('aborted');
      upstream.streams[0]?.stream.end('undisturbed');
      expect(await other.text()).toBe('undisturbed');
      expect(upstream.sessions).toHaveLength(1);
    },
  );

  it('a client that reads slowly holds its own stream back and no other', async () => {
    await using upstream = await h2Upstream((seen, n) => {
      if (n > 1) return answer('ok')(seen, n);
      seen.stream.respond({ ':status': 200 });
      const block = Buffer.alloc(256 * 1024, 'x');
      const more = (): void => {
        while (!seen.aborted && seen.stream.write(block));
        if (!seen.aborted) seen.stream.once('drain', more);
      };
      more();
    });
    await using proxy = await startSidecar(routeTo(upstream.origin));
    await using slow = await rawClient(proxy.port);
    await slow.request({ path: '/fast/flood' });
    slow.pause();
    for (let n = 0; n < 3; n++)
      expect(await (await request(proxy.port, { path: '/fast/x' })).text()).toBe('ok');
    slow.destroy();
    await upstream.waitForAbort(1);
    expect(await (await request(proxy.port, { path: '/fast/x' })).text()).toBe('ok');
    expect(upstream.sessions).toHaveLength(1);
  });
});
