import { expect, test } from 'vitest';
import { rawClient, request } from './raw-client.ts';
import { scriptedUpstream } from './scripted-upstream.ts';
import { respond } from './steps/answers.ts';
import { closeOnAccept, resetOnAccept, silenceOnAccept, staleKeepAlive } from './steps/connections.ts';
import {
  closeBeforeResponse,
  closeMidHead,
  closeMidStatusLine,
  cutMidBody,
  cutMidChunk,
  resetBeforeResponse,
  resetMidBody,
  resetMidUpload,
} from './steps/cuts.ts';
import * as malformed from './steps/malformed.ts';
import { drippedHead, endless1xx, stall, stallAfterHead, stallUpload, trickle } from './steps/silence.ts';
import { perConnection, type Step } from './upstream/step.ts';

const withoutHead: [step: Step, message: RegExp][] = [
  [closeBeforeResponse(), /was closed before the response head; 0 bytes/],
  [resetBeforeResponse(), /was reset before the response head; 0 bytes/],
  [resetMidUpload(), /was reset before the response head; 0 bytes/],
  [closeMidStatusLine(), /was closed before the response head; 10 bytes/],
  [closeMidHead(), /was closed before the response head; 38 bytes/],
  [closeMidHead('reset'), /was reset before the response head; 38 bytes/],
  [closeOnAccept(), /was closed before the response head; 0 bytes/],
];

test.each(withoutHead)('$name ends the connection without a response', async (step, message) => {
  await using upstream = await scriptedUpstream([step]);
  await expect(request(upstream.port, { method: 'POST', body: 'x' })).rejects.toThrow(message);
  await upstream.waitForIdle();
  expect(upstream.aborts).toEqual([]);
});

test('resets straight after accept', async () => {
  await using upstream = await scriptedUpstream([resetOnAccept(), respond()]);
  const attempt = rawClient(upstream.port).then(async (client) => client.waitForEnd());
  expect(await attempt.catch((error: NodeJS.ErrnoException) => error.code)).toMatch(/reset|ECONNRESET/);
  expect((await request(upstream.port)).status).toBe(200);
  expect([upstream.connections.opened, upstream.requests.length]).toEqual([2, 1]);
});

const cutBodies: [step: Step, end: string][] = [
  [cutMidBody(), 'cut'],
  [cutMidBody({ framing: 'chunked' }), 'cut'],
  [cutMidBody({ framing: 'close' }), 'complete'],
  [cutMidChunk(), 'cut'],
  [resetMidBody(), 'reset'],
  [resetMidBody({ framing: 'chunked' }), 'reset'],
  [resetMidBody({ framing: 'close' }), 'reset'],
  [cutMidChunk('reset'), 'reset'],
];

test.each(cutBodies)('$name delivers a part, then ends', async (step, end) => {
  await using upstream = await scriptedUpstream([step]);
  const response = await request(upstream.port);
  expect(await response.ended()).toBe(end);
  expect(response.received.toString()).toBe('partial');
  expect(response.status).toBe(200);
});

test('a response that is cut has no text', async () => {
  await using upstream = await scriptedUpstream([cutMidBody()]);
  const response = await request(upstream.port);
  await expect(response.text()).rejects.toThrow('a complete body, but it ended cut; have 200, 7 body bytes');
});

const badHeads: [step: Step, message: RegExp][] = [
  [malformed.bothLengths(), /both Content-Length and Transfer-Encoding/],
  [malformed.twoLengths(), /more than one Content-Length/],
  [malformed.badLength(), /not a Content-Length: \+5/],
  [malformed.unknownCoding(), /unknown Transfer-Encoding: xchunked/],
  [malformed.twoCodings(), /more than one Transfer-Encoding/],
  [malformed.codingOnHttp10(), /Transfer-Encoding under HTTP\/1.0/],
  [malformed.wrongVersion(), /not a status line: "HTTP\/2.0 200 OK"/],
  [malformed.statusBelow100(), /not a status line: "HTTP\/1.1 099 Odd"/],
  [malformed.nulInHeader(), /control character in header x-nul/],
  [malformed.bareCrInHeader(), /bare CR or LF/],
  [malformed.obsFold(), /not a header field: " two"/],
  [malformed.spaceBeforeColon(), /not a header field: "x-spaced : value"/],
];

test.each(badHeads)('$name breaks HTTP as it says', async (step, message) => {
  await using upstream = await scriptedUpstream([step]);
  await expect(request(upstream.port)).rejects.toThrow(message);
});

test.each([
  [malformed.garbage(), '220 smtp.example ESMTP ready\r\n'],
  [malformed.bareLfHead(), 'HTTP/1.1 200 OK\ncontent-length: 5\n\nhello'],
])('$name is sent as it is', async (step, bytes) => {
  await using upstream = await scriptedUpstream([step]);
  await using client = await rawClient(upstream.port);
  await client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  expect((await client.nextBytes())?.toString()).toBe(bytes);
});

test.each([[malformed.badChunk()], [malformed.endlessChunkExtension(100_000)]])(
  '$name breaks the chunking',
  async (step) => {
    await using upstream = await scriptedUpstream([step]);
    const response = await request(upstream.port);
    expect(await response.ended()).toBe('malformed');
  },
);

test('sends headers as large and as many as asked for', async () => {
  await using upstream = await scriptedUpstream([
    malformed.hugeHeaders(100_000),
    malformed.manyHeaders(3_000),
  ]);
  expect((await request(upstream.port)).header('x-huge')).toHaveLength(100_000);
  expect((await request(upstream.port)).rawHeaders).toHaveLength(3_001);
});

test('sends interim answers nobody asked for', async () => {
  await using upstream = await scriptedUpstream([malformed.unasked100(), malformed.unasked101()]);
  const continued = await request(upstream.port);
  expect([continued.interim[0]?.status, await continued.text()]).toEqual([100, 'ok']);
  expect((await request(upstream.port)).status).toBe(101);
});

test('sends bytes after the announced body', async () => {
  await using upstream = await scriptedUpstream([malformed.tooLongBody()]);
  await using client = await rawClient(upstream.port);
  const response = await client.request();
  expect(await response.text()).toBe('hello');
  expect((await client.nextBytes())?.toString()).toMatch(/^HTTP\/1.1 200 OK.*poison$/s);
});

test.each([[stall()], [stallUpload()], [stallAfterHead({}, ['a'])]])(
  '$name stays silent until the client leaves',
  async (step) => {
    await using upstream = await scriptedUpstream([step]);
    await using client = await rawClient(upstream.port);
    const head = client.request();
    await upstream.waitForRequestHead();
    if (step.name === 'stallAfterHead') await (await head).waitForBytes(1);
    expect([upstream.exchanges.open, client.ending]).toEqual([1, undefined]);
    if (step.name === 'stallUpload') return;
    client.reset();
    expect(await upstream.waitForAbort()).toMatchObject({ how: 'reset' });
    await upstream.waitForIdle();
  },
);

test('trickles chunks one by one to a proper end', async () => {
  await using upstream = await scriptedUpstream([
    trickle({ chunks: ['a', 'b', 'c'], everyMs: 15, headers: { 'x-a': '1' } }),
  ]);
  const response = await request(upstream.port);
  expect(await response.text()).toBe('abc');
  const [first, , third] = response.arrivals;
  expect((third?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(20);
  expect(response.header('x-a')).toBe('1');
});

test('drips a head byte by byte', async () => {
  await using upstream = await scriptedUpstream([drippedHead({ status: 204, everyMs: 1 })]);
  await using client = await rawClient(upstream.port);
  await client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  expect((await client.nextBytes())?.length).toBeLessThan(20);
});

test('repeats interim answers without end', async () => {
  await using upstream = await scriptedUpstream([endless1xx({ everyMs: 1 })]);
  await using client = await rawClient(upstream.port);
  const final = client.request({}, { timeoutMs: 60 });
  await expect(final).rejects.toThrow(/60 ms passed while waiting for the response head/);
  client.destroy();
  await upstream.waitForAbort();
});

test('says nothing after accept', async () => {
  await using upstream = await scriptedUpstream([silenceOnAccept()]);
  await using client = await rawClient(upstream.port);
  await expect(client.request({}, { timeoutMs: 30 })).rejects.toThrow('30 ms passed');
  expect([upstream.connections.open, upstream.requests.length]).toEqual([1, 0]);
});

test.each(['fin', 'reset'] as const)('ends a kept connection by %s when it is used again', async (by) => {
  await using upstream = await scriptedUpstream([staleKeepAlive({ by }), respond({ status: 201 })]);
  await using client = await rawClient(upstream.port);
  expect((await client.request()).status).toBe(200);
  expect(client.ending).toBeUndefined();
  await expect(client.request()).rejects.toThrow(/before the response head/);
  expect(client.ending).toBe(by);
  expect((await request(upstream.port)).status).toBe(201);
  expect(upstream.requests).toHaveLength(2);
});

test('gives each connection its own steps', async () => {
  const first = [respond({ status: 201 }), respond({ status: 202 })];
  await using upstream = await scriptedUpstream(
    perConnection(first, [resetOnAccept()], [respond({ status: 203 })]),
  );
  await using client = await rawClient(upstream.port);
  const statuses = [(await client.request()).status];
  await rawClient(upstream.port).then(
    (broken) => broken.waitForEnd(),
    () => 'reset',
  );
  statuses.push((await request(upstream.port)).status, (await client.request()).status);
  expect(statuses).toEqual([201, 203, 202]);
});
