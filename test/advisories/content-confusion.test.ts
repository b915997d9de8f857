/**
 * Attack: bodies that a proxy which parses, checks or unpacks them would read in another way than the upstream does
 * (CVE-2023-51701, CVE-2025-32442, CVE-2026-25223, CVE-2026-22036). This one passes bytes.
 */
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { gzipBomb, respond, respondWith } from '../support/steps/answers.ts';
import { stage } from '../e2e/stage.ts';

const TYPES = [
  '',
  'foo',
  'application/json ; charset=utf-8',
  'Application/JSON\t',
  ' application/json',
  'text/html;;;',
  'multipart/form-data',
  'application/x-www-form-urlencoded;x="',
];

test.each(TYPES)('a body of type %j passes byte for byte, and so does its type', async (type) => {
  await using on = await stage([respondWith(({ body }) => ({ body }))]);
  const body = Buffer.from('{"a":1,"__proto__":{"x":1}} \u0000\u00ff not json', 'latin1');
  const response = await on.send({ method: 'POST', body, headers: { 'content-type': type } });
  expect((await response.bytes()).equals(body)).toBe(true);
  expect(on.upstream.requests[0]?.header('content-type')).toBe(type.trim());
});

test('a compressed body stays as it is, both ways, whatever it claims', async () => {
  const body = gzipSync('hello');
  await using on = await stage([respond({ headers: { 'content-encoding': 'gzip, br, zstd, gzip' }, body })]);
  const response = await on.send({ method: 'POST', body, headers: { 'content-encoding': 'deflate' } });
  expect((await response.bytes()).equals(body)).toBe(true);
  expect(response.header('content-encoding')).toBe('gzip, br, zstd, gzip');
  expect(on.upstream.requests[0]?.body.equals(body)).toBe(true);
});

test('a compression bomb costs no more than its own bytes', async () => {
  const decoded = 64 * 1024 * 1024;
  await using on = await stage([gzipBomb(decoded)]);
  const before = process.memoryUsage().rss;
  const response = await on.send();
  expect((await response.bytes()).length).toBeLessThan(decoded / 500);
  expect(process.memoryUsage().rss - before).toBeLessThan(decoded / 2);
});
