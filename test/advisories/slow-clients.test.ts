/** Attack: clients that hold connections by sending as little as possible, as slowly as possible (slowloris). */
import { expect, test } from 'vitest';
import { rawClient, type RawClient } from '../support/raw-client.ts';
import { expectServing, target } from './attack.ts';

/** One byte now and then, for as long as the connection lives. */
async function drip(client: RawClient, bytes: string): Promise<void> {
  for (const byte of bytes) {
    if (client.ending !== undefined) return;
    await client.send(byte);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const ENDLESS = `GET /api/x HTTP/1.1\r\nhost: a\r\nx-slow: ${'x'.repeat(400)}`;

test('a head that drips in is cut off by the time limit, and others are served meanwhile', async () => {
  await using on = await target({ rest: 'server: { headersTimeout: 400ms }' });
  const clients = await Promise.all(Array.from({ length: 20 }, () => rawClient(on.port)));
  const dripping = clients.map((client) => drip(client, ENDLESS));
  for (let n = 0; n < 5; n++) await expectServing(on);
  const endings = await Promise.all(clients.map((client) => client.waitForEnd()));
  expect(endings).toHaveLength(20);
  await Promise.all(dripping);
  for (const client of clients) client.destroy();
  expect(on.sidecar.eventsNamed('exchange-started')).toHaveLength(5);
});

test('a client that is cut off is told: 408', async () => {
  await using on = await target({ rest: 'server: { headersTimeout: 200ms }' });
  await using client = await rawClient(on.port);
  void client.send('GET /api/x HTTP/1.1\r\nhost: a\r\n');
  const bytes = (await client.readToEnd()).toString();
  expect(bytes).toMatch(/^HTTP\/1\.1 408 /);
  expect(bytes).toContain('x-outrigger-code: request_timeout');
});

test('the time limit counts anew for each request of a connection', async () => {
  await using on = await target({ rest: 'server: { headersTimeout: 300ms }' });
  await using client = await rawClient(on.port);
  expect((await client.request({ path: '/api/x' })).status).toBe(200);
  void client.send('GET /api/y HTTP/1.1\r\n');
  await client.waitForEnd();
  expect(on.upstream.requests).toHaveLength(1);
});

test('a body that drips in goes on as long as it moves, and is given up when it stops', async () => {
  await using on = await target({ rest: 'server: { headersTimeout: 200ms, bodyTimeout: 200ms }' });
  await using client = await rawClient(on.port);
  void client.send('POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n');
  await drip(client, 'x'.repeat(19));
  const response = await client.response('POST');
  expect(response.status).toBe(408);
  expect(on.upstream.requests).toEqual([]);
  await expectServing(on);
});

test('more connections than allowed are turned away, and the others live', async () => {
  await using on = await target({ rest: 'server: { maxConnections: 3 }' });
  const clients = await Promise.all(Array.from({ length: 3 }, () => rawClient(on.port)));
  for (const client of clients) expect((await client.request({ path: '/api/x' })).status).toBe(200);
  await using fourth = await rawClient(on.port);
  fourth.send('GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n').catch(() => undefined);
  await fourth.waitForEnd();
  for (const client of clients) expect((await client.request({ path: '/api/x' })).status).toBe(200);
  for (const client of clients) client.destroy();
});
