import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { rawClient, request } from './raw-client.ts';
import { scriptedUpstream } from './scripted-upstream.ts';
import { splitEvents } from './sse.ts';
import {
  earlyAnswer,
  flood,
  gzipBomb,
  informational,
  redirect,
  respond,
  respondJson,
  respondRaw,
  respondWith,
} from './steps/answers.ts';
import { sse } from './steps/event-stream.ts';
import { refuseUpgrade, upgrade } from './steps/upgrades.ts';
import { turns } from './turns.ts';

test('consumes one step for each request and repeats the last', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 503 }), respond({ body: 'ok' })]);
  const statuses = [];
  for (let i = 0; i < 3; i++) statuses.push((await request(upstream.port)).status);
  expect(statuses).toEqual([503, 200, 200]);
});

test('asks a function for the step of the n-th request', async () => {
  await using upstream = await scriptedUpstream(({ target }, n) => respond({ body: `${target} ${n}` }));
  expect(await (await request(upstream.port, { path: '/a' })).text()).toBe('/a 1');
  expect(await (await request(upstream.port, { path: '/b' })).text()).toBe('/b 2');
});

test('records a request as it came over the wire', async () => {
  await using upstream = await scriptedUpstream([respond()]);
  await using client = await rawClient(upstream.port);
  await client.send("POST /a%zz/../\xe4?' HTTP/1.1\r\nHost: x\r\nX-Dup: 1\r\nx-dup:  2 \r\nX-High: \xfc\r\n");
  await client.send('Transfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n');
  await client.send('2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n');
  await client.response();
  const seen = await upstream.waitForRequest();
  expect(seen).toMatchObject({
    method: 'POST',
    target: "/a%zz/../\xe4?'",
    connection: 1,
    number: 1,
    complete: true,
  });
  expect(seen.headers('x-dup')).toEqual(['1', '2']);
  expect(seen.rawHeaders.map(([name]) => name)).toEqual([
    'Host',
    'X-Dup',
    'x-dup',
    'X-High',
    'Transfer-Encoding',
  ]);
  expect(seen.header('x-high')).toBe('\xfc');
  expect(seen.text()).toBe('abcde');
  expect(seen.trailers).toEqual([['X-Sum', '5']]);
  expect(seen.endedAt).toBeGreaterThanOrEqual(seen.headAt);
});

test('answers with exact headers, duplicates, chunks and trailers', async () => {
  const headers = [
    ['Set-Cookie', 'a=1'],
    ['set-cookie', 'b=2'],
  ] as const;
  const answer = respond({
    reason: 'Fine',
    headers,
    body: ['one', 'two'],
    framing: 'chunked',
    trailers: { 'x-t': '1' },
  });
  await using upstream = await scriptedUpstream([answer]);
  const response = await request(upstream.port);
  expect(response.reason).toBe('Fine');
  expect(response.rawHeaders).toEqual([...headers, ['transfer-encoding', 'chunked']]);
  expect(await response.text()).toBe('onetwo');
  expect(response.arrivals.map(({ bytes }) => bytes.toString())).toEqual(['one', 'two']);
  expect(response.trailers).toEqual([['x-t', '1']]);
});

test('sends no body to HEAD and none with 204', async () => {
  await using upstream = await scriptedUpstream([respond({ body: 'four' }), respond({ status: 204 })]);
  await using client = await rawClient(upstream.port);
  const head = await client.request({ method: 'HEAD' });
  expect([head.header('content-length'), await head.text()]).toEqual(['4', '']);
  const empty = await client.request();
  expect([empty.status, empty.rawHeaders, empty.end]).toEqual([204, [], 'complete']);
  expect(upstream.connections.opened).toBe(1);
});

test('ends the connection after the answer when told to, or when the request asks for it', async () => {
  const steps = [
    respond({ afterwards: 'fin' }),
    respond({ afterwards: 'reset' }),
    respond({ framing: 'close', body: 'x' }),
  ];
  await using upstream = await scriptedUpstream([...steps, respond()]);
  const endings = [];
  for (const headers of [{}, {}, {}, { connection: 'close' }]) {
    await using client = await rawClient(upstream.port);
    const response = await client.request({ headers });
    await response.ended();
    endings.push(await client.waitForEnd());
  }
  expect(endings).toEqual(['fin', 'reset', 'fin', 'fin']);
});

test('answers JSON, redirects and whatever the request calls for', async () => {
  const echo = respondWith((seen) => ({ status: 201, body: seen.text().toUpperCase() }));
  await using upstream = await scriptedUpstream([respondJson({ a: 1 }), redirect('/there', 307), echo]);
  const json = await request(upstream.port);
  expect([json.header('content-type'), await json.json()]).toEqual(['application/json', { a: 1 }]);
  const moved = await request(upstream.port);
  expect([moved.status, moved.header('location')]).toEqual([307, '/there']);
  const echoed = await request(upstream.port, { method: 'PUT', body: 'quiet', chunked: true });
  expect([echoed.status, await echoed.text()]).toEqual([201, 'QUIET']);
});

test('sends interim answers before the final one', async () => {
  const hints = { status: 103, headers: { link: '</a.css>' } };
  await using upstream = await scriptedUpstream([
    informational([hints, { status: 102 }], respond({ body: 'ok' })),
  ]);
  const response = await request(upstream.port);
  expect(response.interim.map(({ status, rawHeaders }) => [status, rawHeaders])).toEqual([
    [103, [['link', '</a.css>']]],
    [102, []],
  ]);
  expect(await response.text()).toBe('ok');
});

test('answers early and drains the upload', async () => {
  await using upstream = await scriptedUpstream([earlyAnswer({ status: 413 }), respond()]);
  await using client = await rawClient(upstream.port);
  await client.send('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345');
  expect((await client.response()).status).toBe(413);
  expect(upstream.requests[0]).toMatchObject({ upload: 'open' });
  await client.send('67890');
  expect((await upstream.waitForRequest()).text()).toBe('1234567890');
  expect((await client.request()).status).toBe(200);
});

test.each([
  ['fin', 'fin'],
  ['reset', 'reset'],
] as const)('answers early and ends the connection by %s', async (then, ending) => {
  await using upstream = await scriptedUpstream([earlyAnswer({ status: 401 }, then)]);
  await using client = await rawClient(upstream.port);
  await client.send('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345');
  expect((await client.response()).status).toBe(401);
  expect(await client.waitForEnd()).toBe(ending);
});

test('answers early and lets the rest of the upload back up', async () => {
  await using upstream = await scriptedUpstream([earlyAnswer({ status: 413 }, 'stop-reading')]);
  await using client = await rawClient(upstream.port);
  await client.send(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${64 * 1024 * 1024}\r\n\r\n`);
  expect((await client.response()).status).toBe(413);
  const taken = client.send(Buffer.alloc(64 * 1024 * 1024)).then(() => 'taken');
  const turn = turns(50).then(() => 'backed up');
  expect(await Promise.race([taken, turn])).toBe('backed up');
  expect(upstream.requests[0]?.body.length).toBeLessThan(1024 * 1024);
});

test('floods a reader no further than the kernel buffers when it does not read', async () => {
  await using upstream = await scriptedUpstream([flood(256 * 1024 * 1024)]);
  await using client = await rawClient(upstream.port);
  client.pause();
  await client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const seen = await upstream.waitForRequest();
  await turns(200);
  expect(seen.answeredBytes).toBeGreaterThan(0);
  expect(seen.answeredBytes).toBeLessThan(32 * 1024 * 1024);
});

test('floods a reader that reads to the last byte', async () => {
  await using upstream = await scriptedUpstream([flood(3_000_000)]);
  expect((await (await request(upstream.port)).bytes()).length).toBe(3_000_000);
});

test('compresses a bomb into little', async () => {
  await using upstream = await scriptedUpstream([gzipBomb(5_000_000)]);
  const body = await (await request(upstream.port)).bytes();
  expect(body.length).toBeLessThan(10_000);
  expect(gunzipSync(body).length).toBe(5_000_000);
});

test('refuses ambiguous requests and lists them', async () => {
  await using upstream = await scriptedUpstream([respond()]);
  const bad = [
    'GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
    'GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n',
    'GET / HTTP/1.1\nhost: x\r\n\r\n',
    'GET / HTTP/1.1\r\nhost: x\r\n folded\r\n\r\n',
    'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n',
  ];
  for (const bytes of bad) {
    await using client = await rawClient(upstream.port);
    void client.send(bytes);
    expect((await client.response()).status).toBe(400);
  }
  expect(upstream.malformed.map(({ message }) => message)).toEqual([
    'both Content-Length and Transfer-Encoding',
    'more than one Content-Length',
    'bare CR or LF in the head',
    'not a header field: " folded"',
    'chunk longer than its size',
  ]);
});

test('streams events with a proper end', async () => {
  const events = ['one', { event: 'note', id: '7', data: 'two\nlines' }, { comment: 'ping' }];
  await using upstream = await scriptedUpstream([sse({ events, terminator: '[DONE]' })]);
  const response = await request(upstream.port);
  expect(response.header('content-type')).toBe('text/event-stream');
  expect(splitEvents(await response.text()).events).toEqual([
    { event: 'message', data: 'one', comments: [] },
    { event: 'note', id: '7', data: 'two\nlines', comments: [] },
    { event: 'message', data: '', comments: ['ping'] },
    { event: 'message', data: '[DONE]', comments: [] },
  ]);
  expect(response.arrivals).toHaveLength(4);
});

test.each([
  ['chunked', 'cut', 'cut'],
  ['chunked', 'reset', 'reset'],
  ['close', 'clean', 'complete'],
  ['close', 'cut', 'complete'],
  ['close', 'reset', 'reset'],
] as const)('ends a %s event stream by %s, which is seen as %s', async (framing, end, seen) => {
  await using upstream = await scriptedUpstream([sse({ events: ['a', 'b'], framing, end })]);
  const response = await request(upstream.port);
  expect(await response.ended()).toBe(seen);
  expect(response.received.toString()).toBe('data: a\n\ndata: b\n\n');
});

test('stalls an event stream until the client leaves', async () => {
  await using upstream = await scriptedUpstream([sse({ events: ['a', 'b'], everyMs: 1, end: 'stall' })]);
  await using client = await rawClient(upstream.port);
  const response = await client.request();
  await response.waitForBytes(18);
  expect(response.end).toBe('open');
  client.destroy();
  expect(await upstream.waitForAbort()).toMatchObject({ how: 'fin', request: { number: 1 } });
});

test('switches protocols and echoes, first bytes included', async () => {
  await using upstream = await scriptedUpstream([upgrade({ firstBytes: 'hello' })]);
  await using client = await rawClient(upstream.port);
  const response = await client.request({ headers: { connection: 'Upgrade', upgrade: 'websocket' } });
  expect([response.status, response.header('upgrade')]).toEqual([101, 'websocket']);
  expect((await client.nextBytes())?.toString()).toBe('hello');
  void client.send('GET /not-http');
  expect((await client.nextBytes())?.toString()).toBe('GET /not-http');
  expect(upstream.requests[0]?.tunnel.toString()).toBe('GET /not-http');
  client.destroy();
  await upstream.waitForIdle();
  expect([upstream.aborts.length, upstream.malformed.length]).toEqual([0, 0]);
});

test('refuses to switch protocols with an ordinary answer', async () => {
  await using upstream = await scriptedUpstream([refuseUpgrade()]);
  const response = await request(upstream.port, { headers: { connection: 'Upgrade', upgrade: 'websocket' } });
  expect([response.status, await response.text()]).toEqual([403, 'no upgrade here']);
});

test('writes raw bytes as they are', async () => {
  await using upstream = await scriptedUpstream([
    respondRaw('HTTP/1.1 299 \xff\xfe\r\ncontent-length: 0\r\n\r\n'),
  ]);
  const response = await request(upstream.port);
  expect([response.status, response.reason]).toEqual([299, '\xff\xfe']);
});
