import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import { playgroundSchema } from '../../src/playground/schema.ts';
import { startPlayground } from '../../src/playground/server.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { eventually, failureCode, playgroundWith, postChat } from './fixture.ts';

describe('starting and closing a playground', () => {
  it('reports the port that it was given, and a URL that reaches it', async () => {
    const { host, port, url } = (await playgroundWith()).address;
    expect(host).toBe('127.0.0.1');
    expect(port).toBeGreaterThan(0);
    expect(url).toBe(`http://127.0.0.1:${port}`);
  });

  it('rejects where the port is taken', async () => {
    const { port } = (await playgroundWith()).address;
    await expect(playgroundWith({ listen: `127.0.0.1:${port}` })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });

  it('leaves nothing behind: no connection, no timer, no open request, no listener', async () => {
    const clock = new FakeClock();
    const playground = await playgroundWith({ stream: { interval: '10ms' } }, clock);
    await (await fetch(`${playground.address.url}/health`)).text();
    const stalled = failureCode(postChat(playground, { fault: 'stall' }));
    const slow = failureCode(postChat(playground, { fault: 'slow' }));
    const streaming = await postChat(playground, { stream: true });
    await eventually(() => {
      expect(clock.pendingTimers).toBe(3);
    });

    await Promise.all([playground.close(), playground.close()]);

    expect(clock.pendingTimers).toBe(0);
    expect(playground.stats()).toMatchObject({
      open: 0,
      connections: 0,
      endings: { interrupted: 3, abandoned: 0 },
      streams: { open: 0, interrupted: 1 },
    });
    expect(await stalled).toBe('UND_ERR_SOCKET');
    expect(await slow).toBe('UND_ERR_SOCKET');
    expect(await failureCode(streaming.text())).toBe('UND_ERR_SOCKET');
    expect(await failureCode(postChat(playground))).toBe('ECONNREFUSED');
  });

  it('gives ids of their own to playgrounds that share a seed for their faults', async () => {
    const options = playgroundSchema.parse({ listen: '127.0.0.1:0', seed: 1 });
    const ids = new Set<string | null>();
    for (const random of [seededRandom(1), seededRandom(2)]) {
      const playground = await startPlayground(options, { clock: new FakeClock(), random });
      ids.add((await postChat(playground)).headers.get('x-request-id'));
      await playground.close();
    }
    expect(ids.size).toBe(2);
  });
});
