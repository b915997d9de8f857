/**
 * Attack: a protocol switch that only one of two servers believes in, so that the next request is hidden in what the
 * other takes for a tunnel (CVE-2026-2833, CVE-2026-58055, h2c smuggling).
 */
import { expect, test } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { respond, respondWith } from '../support/steps/answers.ts';
import { unasked101 } from '../support/steps/malformed.ts';
import { upgrade } from '../support/steps/upgrades.ts';
import { stage } from '../e2e/stage.ts';
import { head } from './attack.ts';

const switching = (...fields: readonly string[]): string =>
  head('GET /api/x HTTP/1.1', 'Host: a', 'Connection: Upgrade', ...fields);
const SMUGGLED = head('GET /api/smuggled HTTP/1.1', 'Host: a');

test.each(['h2c', 'HTTP/2.0', 'TLS/1.0', 'foo', 'websocket, h2c'])(
  'a switch to %s is not passed on: the request is an ordinary one',
  async (protocol) => {
    await using on = await stage([respondWith(({ target }) => ({ body: target }))]);
    await using client = await rawClient(on.port);
    void client.send(switching(`Upgrade: ${protocol}`, 'HTTP2-Settings: AAMAAABkAAQAAP__'));
    expect(await (await client.response()).text()).toBe('/x');
    void client.send(SMUGGLED);
    expect(await (await client.response()).text()).toBe('/smuggled');
    for (const request of on.upstream.requests) {
      expect(request.header('upgrade')).toBeUndefined();
      expect(request.header('connection')).toBe('keep-alive');
    }
  },
);

test('a 101 that nobody asked for is a 502, and no tunnel', async () => {
  await using on = await stage([unasked101(), respond({ body: 'next' })], {
    api: 'policies: { retry: false }',
  });
  await using client = await rawClient(on.port);
  void client.send(head('GET /api/x HTTP/1.1', 'Host: a') + SMUGGLED);
  expect((await client.response()).status).toBe(502);
  expect(await (await client.response()).text()).toBe('next');
});

test('bytes behind a refused switch are not sent on, and the connection ends', async () => {
  await using on = await stage([respond({ status: 403, body: 'no' })]);
  await using client = await rawClient(on.port);
  void client.send(switching('Upgrade: websocket') + SMUGGLED);
  const response = await client.response();
  expect(response.status).toBe(403);
  expect(await response.text()).toBe('no');
  await client.waitForEnd();
  expect(on.upstream.requests.map(({ target }) => target)).toEqual(['/x']);
  expect(on.upstream.malformed).toEqual([]);
});

test.each([
  ['a length', 'Content-Length: 5', 'hello'],
  ['chunks', 'Transfer-Encoding: chunked', '5\r\nhello\r\n0\r\n\r\n'],
])('a switch with a body in %s is an ordinary request with a body', async (_, field, body) => {
  await using on = await stage([respondWith((got) => ({ body: got.text() })), upgrade()]);
  await using client = await rawClient(on.port);
  void client.send(switching('Upgrade: websocket', field) + body);
  const response = await client.response();
  expect(response.status).toBe(200);
  expect(await response.text()).toBe('hello');
  expect(on.upstream.requests[0]?.header('upgrade')).toBeUndefined();
});
