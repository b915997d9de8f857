/**
 * Attack: heads that a lenient parser mends in its own way, each a way to hide a field from one of two servers
 * (CVE-2021-22959, CVE-2022-32213, CVE-2023-25725, CVE-2024-27982, and what HAProxy and nginx let pass).
 */
import { expect, test } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { expectRefused, expectServing, head, sharedTarget } from './attack.ts';

const target = sharedTarget();
const get = (...fields: readonly string[]): string => head('GET /api/x HTTP/1.1', 'Host: a', ...fields);

test.each([
  ['lines that end in LF', 'GET /api/x HTTP/1.1\nHost: a\n\n'],
  ['one line that ends in LF', 'GET /api/x HTTP/1.1\r\nHost: a\nX-A: 1\r\n\r\n'],
  ['lines that end in CR', 'GET /api/x HTTP/1.1\rHost: a\r\r'],
  ['a head that ends in LF CR', 'GET /api/x HTTP/1.1\r\nHost: a\r\n\n\r'],
  ['a folded field', get('X-A: 1\r\n 2')],
  ['a folded first field', head('GET /api/x HTTP/1.1', ' Host: a', 'Host: b')],
  ['a space before the colon', get('X-A : 1')],
  ['a tab before the colon', get('X-A\t: 1')],
  ['a field without a colon', get('X-A')],
  ['a field without a name', get(': 1')],
  ['a name with a space', get('X A: 1')],
  ['a name with a slash', get('X/A: 1')],
  ['a name with a byte above 0x7f', get('X-\u00e9: 1')],
  ['NUL in a name', get('X-\0: 1')],
  ['NUL in a value', get('X-A: a\0b')],
  ['a control character in a value', get('X-A: a\x01b')],
  ['DEL in a value', get('X-A: a\x7fb')],
  ['a bare CR in a value', get('X-A: a\rb')],
  ['a tab in the request line', head('GET\t/api/x HTTP/1.1', 'Host: a')],
  ['a space at the end of the request line', head('GET /api/x HTTP/1.1 ', 'Host: a')],
  ['a method that is no token', head('GE(T /api/x HTTP/1.1', 'Host: a')],
  ['an unknown method', head('BREW /api/x HTTP/1.1', 'Host: a')],
  ['a method in lower case', head('get /api/x HTTP/1.1', 'Host: a')],
])('%s: refused', async (_, bytes) => {
  await expectRefused(target(), Buffer.from(bytes, 'latin1'));
});

test('garbage behind an answer under way never ends up inside of it', async () => {
  const on = target();
  await using client = await rawClient(on.port);
  void client.send(`${get()}\0\x01garbage\r\n\r\n`);
  const bytes = (await client.readToEnd()).toString('latin1');
  expect(bytes.match(/HTTP\/1\.1 /g)?.length ?? 0).toBeLessThanOrEqual(1);
  await expectServing(on);
});

test('a refused connection that the client keeps open is closed all the same', async () => {
  const on = target();
  await using client = await rawClient(on.port);
  void client.send('\0\0\0\0\r\n\r\n');
  await client.waitForEnd();
  expect((await client.readToEnd()).toString()).toMatch(/^HTTP\/1\.1 400 /);
  await expect.poll(() => on.sidecar.sidecar.dataPlane.activeCount, { timeout: 2_000 }).toBe(0);
});
