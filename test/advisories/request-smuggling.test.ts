/**
 * Attack: a request whose end two servers see in two places, so that the rest of it becomes somebody else's request
 * (CVE-2026-1525, CVE-2023-30589, CVE-2022-32213…15, CVE-2025-23167, CVE-2026-2835, CVE-2021-40346, CVE-2023-40225).
 */
import { expect, test } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { attack, expectRefused, expectServing, head, sharedTarget } from './attack.ts';

const target = sharedTarget();

const SMUGGLED = 'GET /api/smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
const CHUNKS = `0\r\n\r\n${SMUGGLED}`;

const post = (...fields: readonly string[]): string => head('POST /api/x HTTP/1.1', 'Host: a', ...fields);

const ambiguous: readonly [title: string, bytes: string][] = [
  ['Content-Length and Transfer-Encoding', post('Content-Length: 4', 'Transfer-Encoding: chunked') + CHUNKS],
  ['Transfer-Encoding and Content-Length', post('Transfer-Encoding: chunked', 'Content-Length: 4') + CHUNKS],
  ['two Content-Lengths that differ', post('Content-Length: 0', 'Content-Length: 44') + SMUGGLED],
  ['two Content-Lengths that agree', post('Content-Length: 0', 'content-length: 0') + SMUGGLED],
  ['two Content-Lengths in one field', post('Content-Length: 0, 44') + SMUGGLED],
  ['a Content-Length with a sign', post('Content-Length: +0') + SMUGGLED],
  ['a negative Content-Length', post('Content-Length: -1') + SMUGGLED],
  ['a Content-Length in hexadecimal', post('Content-Length: 0x2C') + SMUGGLED],
  ['an empty Content-Length', post('Content-Length:') + SMUGGLED],
  ['a Content-Length beyond 64 bits', post('Content-Length: 18446744073709551660') + SMUGGLED],
  ['a Content-Length with a space in it', post('Content-Length: 4 4') + SMUGGLED],
  ['two Transfer-Encodings', post('Transfer-Encoding: chunked', 'Transfer-Encoding: identity') + CHUNKS],
  ['chunked twice', post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked') + CHUNKS],
  ['chunked twice in one field', post('Transfer-Encoding: chunked, chunked') + CHUNKS],
  ['chunked before another coding', post('Transfer-Encoding: chunked, gzip') + CHUNKS],
  ['another coding before chunked', post('Transfer-Encoding: gzip, chunked') + CHUNKS],
  ['an unknown coding', post('Transfer-Encoding: xchunked') + CHUNKS],
  ['identity', post('Transfer-Encoding: identity') + CHUNKS],
  ['an empty Transfer-Encoding', post('Transfer-Encoding:') + CHUNKS],
  ['a quoted coding', post('Transfer-Encoding: "chunked"') + CHUNKS],
  ['a vertical tab before the coding', post('Transfer-Encoding: \x0bchunked') + CHUNKS],
  ['a space before the colon', post('Transfer-Encoding : chunked') + CHUNKS],
  ['a tab before the colon', post('Content-Length\t: 44') + SMUGGLED],
  ['a folded Transfer-Encoding', post('Transfer-Encoding:\r\n chunked') + CHUNKS],
  ['a coding hidden behind a bare CR', post('X-A: b\rTransfer-Encoding: chunked') + CHUNKS],
  [
    'a coding hidden behind a bare LF',
    post('X-A: b\nTransfer-Encoding: chunked', 'Content-Length: 44') + SMUGGLED,
  ],
  ['a coding hidden behind NUL', post('X-A: b\0Transfer-Encoding: chunked', 'Content-Length: 44') + SMUGGLED],
  ['a field without a name', post(': chunked', 'Content-Length: 44') + SMUGGLED],
  ['Transfer-Encoding in HTTP/1.0', head('POST /api/x HTTP/1.0', 'Transfer-Encoding: chunked') + CHUNKS],
];

test.each(ambiguous)('%s: refused, and nothing reaches the upstream', async (_, bytes) => {
  await expectRefused(target(), bytes);
});

const badChunks: readonly [title: string, chunks: string][] = [
  ['a size that is no number', 'zz\r\nabc\r\n0\r\n\r\n'],
  ['a size in hexadecimal notation', '0x3\r\nabc\r\n0\r\n\r\n'],
  ['a size with a sign', '+3\r\nabc\r\n0\r\n\r\n'],
  ['a size beyond 64 bits', 'fffffffffffffffff\r\nabc'],
  ['more data than its size', '3\r\nabcdef\r\n0\r\n\r\n'],
  ['lines that end in LF', '3\nabc\n0\n\n'],
  ['a space before the end of the size line', '3 \r\nabc\r\n0\r\n\r\n'],
  ['a bare CR in an extension', '3;a\rb\r\nabc\r\n0\r\n\r\n'],
  ['a bare LF in an extension', '3;a\nb\r\nabc\r\n0\r\n\r\n'],
];

test.each(badChunks)('a chunk with %s never becomes a complete request', async (_, chunks) => {
  const on = target();
  const before = on.upstream.requests.length;
  const { status } = await attack(on, `${post('Transfer-Encoding: chunked')}${chunks}${SMUGGLED}`, true);
  expect([undefined, 400]).toContain(status);
  expect(on.upstream.requests.slice(before).filter(({ complete }) => complete)).toEqual([]);
  await expectServing(on);
});

test('the bytes after one request are the next request, with its own answer', async () => {
  await using client = await rawClient(target().port);
  void client.send(`${post('Content-Length: 3')}abc${SMUGGLED}`);
  expect(await (await client.response()).text()).toBe('POST /x 3');
  expect(await (await client.response()).text()).toBe('GET /smuggled 0');
});

test('what goes on to the upstream is framed anew, whatever framing came in', async () => {
  await using client = await rawClient(target().port);
  void client.send(`${post('transfer-encoding:   CHUNKED')}3;ext=1\r\nabc\r\n0\r\n\r\n`);
  expect(await (await client.response()).text()).toBe('POST /x 3');
  const request = target().upstream.requests.at(-1);
  expect(request?.headers('content-length')).toEqual(['3']);
  expect(request?.headers('transfer-encoding')).toEqual([]);
});
