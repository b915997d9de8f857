import { expect, test } from 'vitest';
import { rawClient, request } from './raw-client.ts';
import { scriptedUpstream } from './scripted-upstream.ts';
import { respond, respondRaw } from './steps/answers.ts';
import { ChunkedDecoder } from './wire/chunked-decoder.ts';

test('decodes chunked bodies cut at every byte', () => {
  const wire = Buffer.from('3;a=b\r\nabc\r\n00A \r\n0123456789\r\n0\r\nx-t: v\r\n\r\nrest');
  for (let at = 0; at <= wire.length; at++) {
    const data: Buffer[] = [];
    const decoder = new ChunkedDecoder((bytes) => data.push(bytes));
    const rest = Buffer.concat([wire.subarray(0, at), wire.subarray(at)].map((part) => decoder.push(part)));
    expect(Buffer.concat(data).toString()).toBe('abc0123456789');
    expect(decoder.trailers).toEqual([['x-t', 'v']]);
    expect(rest.toString()).toBe('rest');
  }
});

test('refuses a response head with bytes that are not HTTP', async () => {
  await using upstream = await scriptedUpstream([respondRaw('SSH-2.0-x\r\n\r\n')]);
  await expect(request(upstream.port)).rejects.toThrow('not a status line: "SSH-2.0-x"');
});

test('keeps bytes that nobody asked for until somebody does', async () => {
  const twice =
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1HTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\n2';
  await using upstream = await scriptedUpstream([respondRaw(twice)]);
  await using client = await rawClient(upstream.port);
  const first = await client.request();
  expect(await first.text()).toBe('1');
  const second = await client.response();
  expect([second.status, await second.text()]).toEqual([201, '2']);
});

test('reads everything until the end of the connection', async () => {
  await using upstream = await scriptedUpstream([respond({ framing: 'close', body: 'tail' })]);
  await using client = await rawClient(upstream.port);
  await client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  expect((await client.readToEnd()).toString()).toBe('HTTP/1.1 200 OK\r\n\r\ntail');
  expect(await client.waitForEnd()).toBe('fin');
  expect(client.bytesRead).toBe(23);
});

test('reports a response that is asked for only after its connection ended', async () => {
  await using upstream = await scriptedUpstream([respond({ body: 'late', afterwards: 'fin' })]);
  await using client = await rawClient(upstream.port);
  await client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await client.waitForEnd();
  expect(await (await client.response()).text()).toBe('late');
  await expect(client.response()).rejects.toThrow('was closed before the response head');
});
