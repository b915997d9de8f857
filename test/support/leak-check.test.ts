import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { closedPort } from './dead-ports.ts';
import { leakCheck } from './leak-check.ts';
import { rawClient, request } from './raw-client.ts';
import { scriptedUpstream } from './scripted-upstream.ts';
import { respond } from './steps/answers.ts';
import { stall } from './steps/silence.ts';

test('names sockets and timers that were left behind', async () => {
  const leaks = await leakCheck();
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const timer = setTimeout(() => undefined, 60_000);
  expect(leaks.leaked()).toEqual({ TCPServerWrap: 1, Timeout: 1 });
  await expect(leaks.settled(20)).rejects.toThrow('left behind after 20 ms: {');
  clearTimeout(timer);
  server.close();
  await leaks.settled();
});

test('an upstream, its clients and dead ports leave nothing behind', async () => {
  const leaks = await leakCheck();
  {
    await using upstream = await scriptedUpstream([respond(), stall()]);
    await using dead = await closedPort();
    await request(upstream.port);
    await using client = await rawClient(upstream.port);
    void client.request();
    await upstream.waitForRequest(2);
    expect(dead.port).toBeGreaterThan(0);
    expect(leaks.leaked()).toMatchObject({ TCPServerWrap: 1 });
    client.destroy();
  }
  await leaks.settled();
});
