import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../support/fake-clock.ts';
import { registration, registryWith } from './fixture.ts';

const POLL = { interval: 5, timeout: 5_000 };

interface Frame {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

async function watch(port: number, query = '', lastEventId?: string) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    const call = request(
      { host: '127.0.0.1', port, path: `/v1/watch${query}`, headers, agent: false },
      resolve,
    );
    call.on('error', reject).end();
    onTestFinished(() => void call.destroy());
  });
  let text = '';
  let ended = false;
  response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  response.on('error', () => undefined).on('close', () => (ended = true));
  return {
    response,
    ended: () => ended,
    text: () => text,
    frames: (): Frame[] =>
      text
        .split('\n\n')
        .filter((one) => one.includes('data: '))
        .map((one) => ({
          id: /^id: (.*)$/m.exec(one)?.[1],
          event: /^event: (.*)$/m.exec(one)?.[1] ?? '',
          data: JSON.parse(/^data: (.*)$/m.exec(one)?.[1] ?? 'null') as Frame['data'],
        })),
  };
}

const told = (frames: readonly Frame[]): string[] =>
  frames.map(
    ({ event, data }) => `${event} ${(data['id'] as string | undefined) ?? (data['instances'] as []).length}`,
  );

describe('a watch', () => {
  it('begins with all there is, in pieces, and goes on with what changes', async () => {
    const { port, host } = await registryWith();
    for (let at = 0; at < 250; at++) host.catalog.register(registration(`i-${at}`));
    const { frames } = await watch(port);
    await expect.poll(() => told(frames()), POLL).toEqual(['snapshot 100', 'snapshot 100', 'snapshot 50']);
    expect(frames().map(({ data }) => data['more'])).toEqual([true, true, false]);
    expect(frames().map(({ id }) => id !== undefined)).toEqual([false, false, true]);
    host.catalog.heartbeat('search', 'i-1', { status: 'degraded' });
    host.catalog.heartbeat('search', 'i-2');
    host.catalog.deregister('search', 'i-3');
    host.catalog.register(registration('new'));
    await expect
      .poll(() => told(frames()).slice(3), POLL)
      .toEqual(['changed i-1', 'left i-3', 'registered new']);
    expect(frames()[3]?.data).toMatchObject({ status: 'degraded', service: 'search' });
  });

  it('of one service tells nothing of the others', async () => {
    const { port, host } = await registryWith();
    host.catalog.register(registration('a'));
    host.catalog.register(registration('b', { service: 'other' }));
    const { frames } = await watch(port, '?service=other');
    await expect.poll(() => told(frames()), POLL).toEqual(['snapshot 1']);
    host.catalog.deregister('search', 'a');
    host.catalog.deregister('other', 'b');
    await expect.poll(() => told(frames()).slice(1), POLL).toEqual(['left b']);
  });

  it('goes on where an earlier one ended, and begins anew where that is not known', async () => {
    const { port, host } = await registryWith();
    host.catalog.register(registration('a'));
    const first = await watch(port);
    await expect.poll(() => first.frames().length, POLL).toBe(1);
    const id = first.frames()[0]?.id;
    first.response.destroy();
    host.catalog.register(registration('b'));
    const resumed = await watch(port, '', id);
    await expect.poll(() => told(resumed.frames()), POLL).toEqual(['registered b']);
    for (const strange of [
      'nonsense',
      `other-${id?.split('-')[1] ?? ''}`,
      `${id?.split('-')[0] ?? ''}-999`,
    ]) {
      const anew = await watch(port, '', strange);
      await expect.poll(() => told(anew.frames()), POLL).toEqual(['snapshot 2']);
    }
  });

  it('that takes nothing costs no memory, gets all there is when it wakes, and is cut off when it does not', async () => {
    const clock = new FakeClock();
    const { port, host, events } = await registryWith({}, { clock });
    const metadata = { text: 'x'.repeat(3_000) };
    const slow = await watch(port);
    await expect.poll(() => slow.frames().length, POLL).toBe(1);
    slow.response.pause();
    const other = await watch(port);
    // More than the sockets between take, and more than the registry remembers.
    for (let round = 0; round < 16; round++) {
      for (let at = 0; at < 500; at++)
        host.catalog.register(registration(`i-${at}`, { metadata, weight: round }));
      const { revision } = host.catalog;
      await expect.poll(() => other.text().slice(-50), POLL).toContain(`"revision":${revision}`);
    }
    await clock.advance(29_000);
    expect(host.view?.watchers).toBe(2);
    slow.response.resume();
    await expect.poll(() => slow.text().split('event: snapshot').length - 1, POLL).toBe(6);
    await clock.advance(1_000);
    slow.response.pause();
    for (let round = 0; round < 8; round++)
      for (let at = 0; at < 500; at++)
        host.catalog.register(registration(`i-${at}`, { metadata, weight: 100 + round }));
    const last = `"revision":${host.catalog.revision}`;
    await expect.poll(() => other.text().slice(-2_000), POLL).toContain(last);
    // Step by step, so that the connection of the other has time to empty itself.
    const changes = async (): Promise<string[]> => {
      await clock.advance(1_000);
      return events.of('registry-watcher').map(({ change }) => change);
    };
    await expect.poll(changes, POLL).toContain('slow');
    expect(other.ended()).toBe(false);
  }, 20_000);

  it('is refused where there are too many, and broken off when the registry closes', async () => {
    const { port, ask, host } = await registryWith({ maxWatchers: 1 });
    const { ended, frames } = await watch(port);
    await expect.poll(() => frames().length, POLL).toBe(1);
    const refused = await ask('GET', '/v1/watch');
    expect([refused.status, refused.json['code']]).toEqual([503, 'too_many_watchers']);
    expect((await ask('GET', '/v1/watch?zone=x')).json).toMatchObject({ where: 'query.zone' });
    await host.close();
    await expect.poll(ended, POLL).toBe(true);
  });

  it('is told now and then that the registry is there', async () => {
    const clock = new FakeClock();
    const { port, host } = await registryWith({}, { clock });
    const { text, response } = await watch(port);
    await expect.poll(text, POLL).toContain('snapshot');
    await clock.advance(15_000);
    await expect.poll(text, POLL).toContain(': alive');
    response.destroy();
    await expect.poll(() => host.view?.watchers, POLL).toBe(0);
    await host.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
