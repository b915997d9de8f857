import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { blackhole, closedPort, tlsStall } from './dead-ports.ts';
import { rawClient } from './raw-client.ts';

test('a closed port refuses connections, again and again', async () => {
  await using dead = await closedPort();
  for (let i = 0; i < 3; i++)
    await expect(rawClient(dead.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  const squatter = createServer().listen(dead.port, '127.0.0.1');
  const [error] = (await once(squatter, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('EADDRINUSE');
});

test('a blackhole lets nobody connect, and refuses nobody', async () => {
  await using dead = await blackhole();
  const socket = connect(dead.port, '127.0.0.1');
  const outcome = new Promise((resolve) => {
    socket.once('connect', () => resolve('connected'));
    socket.once('error', resolve);
    setTimeout(resolve, 300, 'still connecting');
  });
  expect(await outcome).toBe('still connecting');
  socket.destroy();
});

test('a stalled handshake accepts and says nothing', async () => {
  await using stalled = await tlsStall();
  const client = await rawClient(stalled.port);
  await client.send(Buffer.from([0x16, 0x03, 0x01]));
  await stalled.waitForOpenConnections(1);
  expect(client.ending).toBeUndefined();
  client.destroy();
  await stalled.waitForOpenConnections(0);
});
