/**
 * Attack: requests that grow without end: URLs, fields, their number, chunk extensions, trailers (CVE-2024-22019). Also:
 * fields beyond the number that the server keeps, which it would drop without a word.
 */
import { expect, test } from 'vitest';
import { rawClient, request } from '../support/raw-client.ts';
import { attack, expectRefused, expectServing, head, sharedTarget } from './attack.ts';

const target = sharedTarget();
const long = 'x'.repeat(40_000);
const many = (count: number): string[] => Array.from({ length: count }, (_, n) => `a${n}: 1`);

test.each([
  ['a URL of 40 KB', head(`GET /api/${long} HTTP/1.1`, 'Host: a')],
  ['a field of 40 KB', head('GET /api/x HTTP/1.1', 'Host: a', `X-Long: ${long}`)],
  ['a name of 40 KB', head('GET /api/x HTTP/1.1', 'Host: a', `${long}: 1`)],
  ['8,000 fields', head('GET /api/x HTTP/1.1', 'Host: a', ...many(8_000))],
])('%s: 431', async (_, bytes) => {
  const { code } = await expectRefused(target(), bytes, 431);
  expect(code).toBe('headers_too_large');
});

test('a method without end: refused', async () => {
  await expectRefused(target(), `${'G'.repeat(40_000)} /api/x HTTP/1.1\r\n\r\n`);
});

test('no field is dropped for being beyond the two thousandth', async () => {
  const on = target();
  await using client = await rawClient(on.port);
  const fields = [...many(2_500), 'X-Last: kept', 'Content-Length: 3'];
  void client.send(`${head('POST /api/x HTTP/1.1', 'Host: a', ...fields)}abc`);
  expect(await (await client.response('POST')).text()).toBe('POST /x 3');
  const got = on.upstream.requests.at(-1);
  expect(got?.header('x-last')).toBe('kept');
  expect(got?.headers('content-length')).toEqual(['3']);
});

test('a Host or a second length hidden beyond the two thousandth field is seen', async () => {
  const hidden = (field: string): string => head('GET /api/x HTTP/1.1', 'Host: a', ...many(2_500), field);
  await expectRefused(target(), hidden('Host: b'));
});

test.each([
  ['one endless extension', `1;${'x'.repeat(60_000)}`],
  ['an extension on every chunk', `${`1;${'x'.repeat(5_000)}\r\na\r\n`.repeat(12)}`],
])('a flood of chunk extensions (%s) never becomes a request', async (_, chunks) => {
  const on = target();
  const before = on.upstream.requests.length;
  const { status } = await attack(
    on,
    `${head('POST /api/x HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}${chunks}`,
    true,
  );
  expect([undefined, 400, 413]).toContain(status);
  expect(on.upstream.requests.slice(before).filter(({ complete }) => complete)).toEqual([]);
  await expectServing(on);
});

test('a flood of trailers is cut off', async () => {
  const on = target();
  const before = on.upstream.requests.length;
  const trailers = many(8_000).join('\r\n');
  const { status } = await attack(
    on,
    `${head('POST /api/x HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}0\r\n${trailers}`,
  );
  expect([undefined, 400, 431]).toContain(status);
  expect(on.upstream.requests.slice(before).filter(({ complete }) => complete)).toEqual([]);
  await expectServing(on);
});

test('a URL and a field just below the limit pass', async () => {
  const on = target();
  const path = `/api/${'p'.repeat(15_000)}`;
  const response = await request(on.port, { path, headers: { 'x-long': 'h'.repeat(15_000) } });
  expect(response.status).toBe(200);
  expect(on.upstream.requests.at(-1)?.header('x-long')).toHaveLength(15_000);
});
