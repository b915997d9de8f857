import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { AdminPlane } from '../../src/admin/admin-plane.ts';
import type { AdminDeps } from '../../src/admin/admin-deps.ts';
import { leakCheck } from '../support/leak-check.ts';
import { rawClient } from '../support/raw-client.ts';
import type { RawClient } from '../support/raw-client.ts';

/** Enough for /health, which asks nobody. */
const NOBODY = { agent: () => undefined } as AdminDeps;

test('an address in use is one clear message, and leaves nothing behind', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as AddressInfo;
  const leaks = await leakCheck();
  const plane = new AdminPlane(NOBODY);
  await expect(plane.listen(`127.0.0.1:${port}`)).rejects.toThrow(
    new Error(`cannot listen on 127.0.0.1:${port} (server.admin): the address is in use`),
  );
  expect(plane.address()).toBeUndefined();
  await plane.close();
  await leaks.settled();
  other.close();
});

test('an address of another machine names itself in the message', async () => {
  const plane = new AdminPlane(NOBODY);
  await expect(plane.listen('192.0.2.1:9090')).rejects.toThrow(
    'cannot listen on 192.0.2.1:9090 (server.admin): ',
  );
});

test('the address has the real port, and is gone after close', async () => {
  const plane = new AdminPlane(NOBODY);
  expect(plane.address()).toBeUndefined();
  await plane.listen('127.0.0.1:0');
  expect(plane.address()).toEqual({
    host: '127.0.0.1',
    port: expect.toSatisfy((port: number) => port > 0) as number,
  });
  await plane.close();
  expect(plane.address()).toBeUndefined();
});

test('close may be called before listening, and again', async () => {
  const plane = new AdminPlane(NOBODY);
  await plane.close();
  await plane.listen('127.0.0.1:0');
  await Promise.all([plane.close(), plane.close()]);
  await plane.close();
});

test('close waits for nobody: silent, idle, half-sent and upgrading connections end', async () => {
  const leaks = await leakCheck();
  const plane = new AdminPlane(NOBODY);
  await plane.listen('127.0.0.1:0');
  const port = plane.address()?.port ?? 0;
  const [silent, idle, halfHead, halfBody, upgrading] = (await Promise.all(
    ([1, 2, 3, 4, 5] as const).map(() => rawClient(port)),
  )) as [RawClient, RawClient, RawClient, RawClient, RawClient];
  await (await idle.request({ path: '/health' })).text();
  await halfHead.send('GET /health HT');
  await halfBody.send(
    'POST /health HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{',
  );
  const wanted = { connection: 'upgrade', upgrade: 'websocket' };
  expect((await upgrading.request({ path: '/health', headers: wanted })).status).toBe(200);
  await plane.close();
  for (const client of [silent, idle, halfHead, halfBody, upgrading]) {
    await client.waitForEnd();
    client.destroy();
  }
  await leaks.settled();
});

test('localhost is listened to as a name', async () => {
  const plane = new AdminPlane(NOBODY);
  await plane.listen('localhost:0');
  const client = await rawClient(plane.address()?.port ?? 0);
  expect((await client.request({ path: '/livez' })).status).toBe(200);
  await plane.close();
  await client.waitForEnd();
  client.destroy();
});
