/** Answers on their way to the client: at once, bounded, and with everything that belongs to them. */
import { describe, expect, test } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { flood, informational, respond, respondRaw } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { stall } from '../support/steps/silence.ts';
import { turns } from '../support/turns.ts';
import { stage } from './stage.ts';

const MIB = 1024 * 1024;

describe('streaming', () => {
  test('the head is passed on although no body byte has come', async () => {
    const stream = controlledStream();
    await using on = await stage([stream]);
    const answer = on.send();
    await stream.head();
    const response = await answer;
    expect(response.status).toBe(200);
    expect(response.received).toHaveLength(0);
    await stream.end();
    expect(await response.text()).toBe('');
  });

  test('every event is passed on as it comes, in a piece of its own', async () => {
    const stream = controlledStream();
    await using on = await stage([stream]);
    const answer = on.send();
    await stream.head();
    const response = await answer;
    for (const data of ['one', 'two', 'three', ': keep-alive', 'four']) {
      await stream.write(`data: ${data}\n\n`);
      const piece = await response.nextChunk();
      expect(piece?.bytes.toString()).toBe(`data: ${data}\n\n`);
    }
    await stream.end();
    expect(await response.ended()).toBe('complete');
  });

  test('a small answer reaches the client in one piece with its head', async () => {
    await using on = await stage([respond({ body: 'small' })]);
    await using client = await rawClient(on.port);
    void client.send('GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n');
    const first = (await client.nextBytes())?.toString() ?? '';
    expect(first).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(first.endsWith('\r\n\r\nsmall')).toBe(true);
  });

  test('a client that reads nothing holds the upstream up, not the memory', async () => {
    const size = 256 * MIB;
    await using on = await stage([flood(size)]);
    await using client = await rawClient(on.port);
    const before = process.memoryUsage().rss;
    client.pause();
    void client.send('GET /api/big HTTP/1.1\r\nhost: a\r\n\r\n');
    const request = await on.upstream.waitForRequest();
    let last = -1;
    while (request.answeredBytes > last) {
      last = request.answeredBytes;
      await turns(200);
    }
    // The kernel's buffers of two connections take most of it.
    expect(request.answeredBytes).toBeGreaterThan(MIB / 4);
    expect(request.answeredBytes).toBeLessThan(12 * MIB);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MIB);
    client.destroy();
    await on.upstream.waitForIdle();
    await on.sidecar.waitForEvent('exchange-ended');
    expect(on.sidecar.sidecar.dataPlane.activeCount).toBe(0);
  });

  test('a slow reader gets all of a large answer, byte for byte', async () => {
    const body = Buffer.alloc(6 * MIB);
    for (let i = 0; i < body.length; i += 4) body.writeUInt32LE(i, i);
    for (const framing of ['length', 'chunked'] as const) {
      const pieces = framing === 'length' ? body : [body.subarray(0, MIB), body.subarray(MIB)];
      await using on = await stage([respond({ framing, body: pieces })]);
      await using client = await rawClient(on.port);
      const answer = client.request({ path: '/api/x' });
      const response = await answer;
      while (response.end === 'open') {
        client.pause();
        await turns(5);
        client.resume();
        await response.nextChunk();
      }
      expect(response.end).toBe('complete');
      expect(response.received.equals(body)).toBe(true);
    }
  });
});

describe('answers without a body', () => {
  test('HEAD keeps the length it was told, sends nothing after it, and the client’s connection lives on', async () => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\nconnection: keep-alive\r\nx-head: 1\r\n\r\n';
    await using on = await stage([respondRaw(head), respond({ body: 'next' })]);
    await using client = await rawClient(on.port);
    void client.send('HEAD /api/x HTTP/1.1\r\nhost: a\r\n\r\n');
    const response = await client.response('HEAD');
    expect(response.header('content-length')).toBe('1000');
    expect(response.header('x-head')).toBe('1');
    expect(await (await client.request({ path: '/api/y' })).text()).toBe('next');
    // The upstream's does not: what may follow there would be read as the next answer.
    expect(on.upstream.requests.map(({ connection }) => connection)).toEqual([1, 2]);
  });

  test('a body that follows an answer to HEAD all the same is nobody else’s answer', async () => {
    const file = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison';
    const good = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood';
    const head = `HTTP/1.1 200 OK\r\ncontent-length: ${file.length}\r\n\r\n`;
    // The body comes late: when the next request is there already.
    await using on = await stage(({ method, connection }) =>
      respondRaw(method === 'HEAD' ? head : connection === 1 ? file + good : good),
    );
    expect((await on.send({ method: 'HEAD' })).header('content-length')).toBe(String(file.length));
    expect(await (await on.send()).text()).toBe('good');
  });

  test.each([204, 304])('%i ends with its head, and the connection goes on', async (status) => {
    await using on = await stage([respond({ status, headers: { etag: '"1"' } }), respond({ body: 'next' })]);
    await using client = await rawClient(on.port);
    const response = await client.request({ path: '/api/x' });
    expect(response.status).toBe(status);
    expect(response.header('etag')).toBe('"1"');
    expect(await response.text()).toBe('');
    expect(await (await client.request({ path: '/api/y' })).text()).toBe('next');
  });

  test('304 keeps the length of what was not sent', async () => {
    const head = 'HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n';
    await using on = await stage([respondRaw(head)]);
    const response = await on.send();
    expect(response.header('content-length')).toBe('1000');
    expect(await response.text()).toBe('');
  });
});

describe('interim answers', () => {
  const LINKS = ['</style.css>; rel=preload; as=style', '</a b>; title="quoted; and spaced", </c>; rel=next'];

  test('102 and 103 come through in order with all their fields, and commit to nothing', async () => {
    const step = informational(
      [
        { status: 102 },
        { status: 103, headers: [...LINKS.map((link) => ['Link', link] as const), ['X-Hint', '1']] },
        { status: 110, headers: { 'x-unknown': '2' } },
      ],
      respond({ status: 201, body: 'made' }),
    );
    await using on = await stage([step]);
    const response = await on.send();
    expect(response.interim.map(({ status, rawHeaders }) => [status, rawHeaders])).toEqual([
      [102, []],
      [103, [...LINKS.map((link) => ['Link', link]), ['X-Hint', '1']]],
      [110, [['x-unknown', '2']]],
    ]);
    expect(response.status).toBe(201);
    expect(await response.text()).toBe('made');
  });

  test('an attempt that said 103 may still be tried again', async () => {
    const hint = [{ status: 103, headers: { link: '</x>; rel=preload' } }];
    await using on = await stage(
      [informational(hint, respond({ status: 503 })), informational(hint, respond({ body: 'ok' }))],
      { api: 'policies: { retry: { backoff: { initial: 1ms, max: 1ms } } }' },
    );
    const response = await on.send();
    expect(response.interim.map(({ status }) => status)).toEqual([103, 103]);
    expect(await response.text()).toBe('ok');
  });

  test('are kept from an HTTP/1.0 client, which does not know them', async () => {
    await using on = await stage([informational([{ status: 103 }], respond({ body: 'ok' }))]);
    await using client = await rawClient(on.port);
    void client.send('GET /api/x HTTP/1.0\r\n\r\n');
    const bytes = (await client.readToEnd()).toString();
    expect(bytes).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(bytes.endsWith('\r\n\r\nok')).toBe(true);
  });
});

describe('trailers', () => {
  test('come through, without those that would decide anything', async () => {
    const trailers = { 'x-checksum': 'abc', 'content-type': 'a/b', 'set-cookie': 'a=1', authorization: 'x' };
    const step = respond({ framing: 'chunked', headers: { trailer: 'x-checksum' }, body: 'data', trailers });
    await using on = await stage([step]);
    const response = await on.send();
    expect(await response.text()).toBe('data');
    expect(response.header('trailer')).toBe('x-checksum');
    expect(response.trailers).toEqual([['x-checksum', 'abc']]);
  });

  test('are dropped for an HTTP/1.0 client, with the field that announces them', async () => {
    const headers = { trailer: 'x-checksum' };
    const step = respond({ framing: 'chunked', headers, body: 'data', trailers: { 'x-checksum': 'abc' } });
    await using on = await stage([step]);
    await using client = await rawClient(on.port);
    void client.send('GET /api/x HTTP/1.0\r\n\r\n');
    const bytes = (await client.readToEnd()).toString();
    expect(bytes.endsWith('\r\n\r\ndata')).toBe(true);
    expect(bytes).not.toMatch(/checksum|chunked/i);
  });

  test('of a request are dropped, with the field that announces them, and the request is whole', async () => {
    await using on = await stage([respond({ body: 'ok' })]);
    await using client = await rawClient(on.port);
    void client.send(
      'POST /api/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-trailer\r\n\r\n3\r\nabc\r\n0\r\nx-trailer: 1\r\n\r\n',
    );
    expect(await (await client.response()).text()).toBe('ok');
    const request = await on.upstream.waitForRequest();
    expect(request.text()).toBe('abc');
    expect(request.trailers).toEqual([]);
    expect(request.headers('trailer')).toEqual([]);
  });
});

describe('HTTP/1.0 clients', () => {
  test('get an answer that ends with the connection', async () => {
    await using on = await stage([respond({ framing: 'chunked', body: ['a', 'b'] })]);
    await using client = await rawClient(on.port);
    void client.send('GET /api/x HTTP/1.0\r\nhost: a\r\n\r\n');
    const bytes = (await client.readToEnd()).toString();
    expect(bytes.endsWith('\r\n\r\nab')).toBe(true);
    expect(on.upstream.requests[0]?.header('via')).toMatch(/^1\.0 /);
  });

  test('see a reset when such an answer is cut: its plain end would look whole', async () => {
    const stream = controlledStream();
    await using on = await stage([stream]);
    await using client = await rawClient(on.port);
    void client.send('GET /api/x HTTP/1.0\r\n\r\n');
    await stream.head();
    await stream.write('part');
    await client.nextBytes();
    await stream.cut();
    expect(await client.waitForEnd()).toBe('reset');
  });
});

describe('pipelined requests', () => {
  test('are answered in order, whichever upstream is first', async () => {
    const slow = controlledStream();
    await using on = await stage((request) =>
      request.target === '/slow' ? slow : respond({ body: 'quick' }),
    );
    await using client = await rawClient(on.port);
    void client.send('GET /api/slow HTTP/1.1\r\nhost: a\r\n\r\nGET /api/quick HTTP/1.1\r\nhost: a\r\n\r\n');
    const first = client.response();
    await on.upstream.waitForRequest(2);
    await slow.head();
    await slow.write('slow');
    await slow.end();
    expect(await (await first).text()).toBe('slow');
    expect(await (await client.response()).text()).toBe('quick');
  });

  test('a cut answer that waits for its turn still ends visibly cut', async () => {
    const slow = controlledStream();
    const cut = controlledStream();
    await using on = await stage((request) => (request.target === '/slow' ? slow : cut));
    await using client = await rawClient(on.port);
    void client.send('GET /api/slow HTTP/1.1\r\nhost: a\r\n\r\nGET /api/cut HTTP/1.1\r\nhost: a\r\n\r\n');
    const answers = [client.response(), client.response()];
    await on.upstream.waitForRequest(2);
    await cut.head();
    await cut.write('part');
    await cut.cut();
    await slow.head();
    await slow.write('slow');
    await slow.end();
    expect(await (await answers[0])?.text()).toBe('slow');
    const second = await answers[1];
    expect(await second?.ended()).toBe('cut');
    expect(second?.received.toString()).toBe('part');
    await on.sidecar.waitForEvent('exchange-ended', 2);
  });

  test('a client that leaves takes all of them with it', async () => {
    await using on = await stage([stall()]);
    const client = await rawClient(on.port);
    void client.send('GET /api/a HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(5));
    await on.upstream.waitForRequest(5);
    client.destroy();
    await on.upstream.waitForAbort(5);
    await on.sidecar.waitForEvent('exchange-ended', 5);
    expect(on.sidecar.sidecar.dataPlane.activeCount).toBe(0);
  });
});
