import { expect, test } from 'vitest';
import { rawClient, request } from './raw-client.ts';
import { scriptedUpstream } from './scripted-upstream.ts';
import { respond } from './steps/answers.ts';
import { resetOnAccept } from './steps/connections.ts';
import { controlledStream } from './steps/controlled-stream.ts';
import { holdResponse } from './steps/hold-response.ts';
import { stall } from './steps/silence.ts';
import { turns } from './turns.ts';

test('holds answers until the test releases them, one or all', async () => {
  const gate = holdResponse(respond());
  await using upstream = await scriptedUpstream([gate]);
  const answers = [request(upstream.port), request(upstream.port), request(upstream.port)];
  await gate.waitForHeld(3);
  gate.releaseOne();
  await upstream.waitUntil(() => upstream.exchanges.open === 2, 'two held requests');
  gate.release();
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(upstream.exchanges).toMatchObject({ peak: 3, open: 0, opened: 3 });
});

test('forgets a held request whose client leaves', async () => {
  const gate = holdResponse(respond());
  await using upstream = await scriptedUpstream([gate]);
  await using client = await rawClient(upstream.port);
  void client.request();
  await gate.waitForHeld();
  client.destroy();
  await upstream.waitForAbort();
  await gate.waitForHeld(0);
  await upstream.waitForIdle();
});

test('lets the test write an answer piece by piece', async () => {
  const stream = controlledStream();
  await using upstream = await scriptedUpstream([stream, respond()]);
  await using client = await rawClient(upstream.port);
  void stream.head({ status: 201 });
  const response = await client.request();
  expect([response.status, response.arrivals.length]).toEqual([201, 0]);
  await stream.write('one');
  expect((await response.nextChunk())?.bytes.toString()).toBe('one');
  await stream.write('two');
  expect((await response.nextChunk())?.bytes.toString()).toBe('two');
  expect(response.end).toBe('open');
  await stream.end();
  expect(await response.nextChunk()).toBeUndefined();
  expect(response.end).toBe('complete');
  expect((await client.request()).status).toBe(200);
});

test.each(['cut', 'reset'] as const)('lets the test break an answer by %s', async (how) => {
  const stream = controlledStream();
  await using upstream = await scriptedUpstream([stream]);
  void stream.head({ headers: { 'content-length': '10' } });
  void stream.write('12345');
  const response = await request(upstream.port);
  await response.waitForBytes(5);
  await stream[how]();
  expect(await response.ended()).toBe(how);
  expect(response.received.toString()).toBe('12345');
});

test('answers while the upload goes on', async () => {
  const stream = controlledStream('head');
  await using upstream = await scriptedUpstream([stream]);
  await using client = await rawClient(upstream.port);
  await client.send('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n');
  const seen = await stream.waitForRequest();
  await stream.head();
  const response = await client.response();
  await stream.write(seen.body);
  expect((await response.nextChunk())?.bytes.toString()).toBe('a');
});

test('records a cut upload as cut, and as an abort', async () => {
  await using upstream = await scriptedUpstream([respond()]);
  await using client = await rawClient(upstream.port);
  await client.send('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345');
  await upstream.waitForRequestHead();
  client.destroy();
  const seen = await upstream.waitForRequest();
  expect(seen).toMatchObject({ upload: 'cut', complete: false });
  expect(seen.text()).toBe('12345');
  await upstream.waitForAbort();
  await upstream.waitForOpenConnections(0);
  expect(upstream.exchanges.open).toBe(0);
});

test('takes a FIN for an abort, unless half-closing is allowed', async () => {
  await using strict = await scriptedUpstream([stall()]);
  await using leaver = await rawClient(strict.port);
  void leaver.request();
  await strict.waitForRequest();
  leaver.halfClose();
  expect(await strict.waitForAbort()).toMatchObject({ how: 'fin' });

  const gate = holdResponse(respond({ body: 'still here' }));
  await using tolerant = await scriptedUpstream([gate], { tolerateHalfClose: true });
  await using client = await rawClient(tolerant.port);
  const response = client.request();
  await gate.waitForHeld();
  client.halfClose();
  gate.release();
  expect(await (await response).text()).toBe('still here');
  expect(await client.waitForEnd()).toBe('fin');
  expect(tolerant.aborts).toEqual([]);
});

test('dies and comes back on the same port', async () => {
  await using upstream = await scriptedUpstream([stall(), respond()]);
  await using client = await rawClient(upstream.port);
  const answer = client.request();
  await upstream.waitForRequest();
  await upstream.kill();
  await expect(answer).rejects.toThrow('was reset before the response head');
  await expect(request(upstream.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  const port = upstream.port;
  await upstream.restart();
  expect(upstream.port).toBe(port);
  expect((await request(upstream.port)).status).toBe(200);
});

test('stops listening but serves the connections it has', async () => {
  await using upstream = await scriptedUpstream([respond()]);
  await using client = await rawClient(upstream.port);
  await client.request();
  upstream.stopListening();
  await expect(rawClient(upstream.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect((await client.request()).status).toBe(200);
});

test('lets uploads back up while paused, and takes them when resumed', async () => {
  await using upstream = await scriptedUpstream([respond()]);
  upstream.pause();
  await using client = await rawClient(upstream.port);
  const body = Buffer.alloc(16 * 1024 * 1024);
  let sent = false;
  const response = client.request({ method: 'POST', body });
  void client.send('').then(() => (sent = true));
  await upstream.waitForOpenConnections(1);
  await turns(50);
  expect(sent).toBe(false);
  upstream.resume();
  expect((await response).status).toBe(200);
  expect(upstream.requests[0]?.body.length).toBe(body.length);
});

test('reads an upload to its end after it closed its own half', async () => {
  const stream = controlledStream('head');
  await using upstream = await scriptedUpstream([stream]);
  await using client = await rawClient(upstream.port);
  void client.send('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nabc');
  await stream.cut();
  expect(await client.waitForEnd()).toBe('fin');
  void client.send('def');
  expect((await upstream.waitForRequest()).text()).toBe('abcdef');
});

test('plays another script from now on', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 500 })]);
  const before = await request(upstream.port);
  upstream.play([respond({ status: 200 })]);
  expect([before.status, (await request(upstream.port)).status]).toEqual([500, 200]);
});

test('says what it saw when a wait times out', async () => {
  await using upstream = await scriptedUpstream([respond()]);
  await request(upstream.port, { path: '/a' });
  await expect(upstream.waitForRequest(2, { timeoutMs: 10 })).rejects.toThrow(
    /10 ms passed while waiting for the end of request 2; saw GET \/a \(body complete, 0 bytes\)/,
  );
});

test('fails waits that are pending when it is disposed', async () => {
  const upstream = await scriptedUpstream([respond()]);
  const abort = upstream.waitForAbort();
  await upstream[Symbol.asyncDispose]();
  await expect(abort).rejects.toThrow('the upstream was disposed while waiting for abort 1');
});

test('throws the error of a script when it is disposed', async () => {
  const upstream = await scriptedUpstream(() => {
    throw new Error('no such step');
  });
  await expect(request(upstream.port)).rejects.toThrow('was reset');
  await expect(upstream[Symbol.asyncDispose]()).rejects.toMatchObject({ cause: { message: 'no such step' } });
});

test('refuses a connection step where a request is to be answered', async () => {
  const upstream = await scriptedUpstream(() => resetOnAccept());
  await expect(request(upstream.port)).rejects.toThrow('was reset');
  await expect(upstream[Symbol.asyncDispose]()).rejects.toMatchObject({
    cause: { message: 'resetOnAccept acts on connections: put it in a list, not after a request' },
  });
});

test('reads pipelined requests one after the other', async () => {
  await using upstream = await scriptedUpstream((_request, n) => respond({ body: String(n) }));
  await using client = await rawClient(upstream.port);
  void client.send('GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\n\r\n');
  const first = await client.response();
  const second = await client.response();
  expect([await first.text(), await second.text()]).toEqual(['1', '2']);
});
