import { describe, expect, it } from 'vitest';
import { MovingListener, prepareAll } from '../../src/core/moving-listener.ts';

interface Options {
  readonly listen: string;
}

/** Listeners that open where `free` says so. */
function movable(free: (listen: string) => boolean) {
  const open = new Set<string>();
  const lost: string[] = [];
  const listener = new MovingListener({
    open: ({ listen }: Options) => {
      if (!free(listen)) return Promise.reject(new Error(`${listen} is taken`));
      open.add(listen);
      const [host = '', port = ''] = listen.split(':');
      return Promise.resolve({
        address: { host, port: Number(port) },
        adjust: () => {},
        close: () => Promise.resolve(void open.delete(listen)),
      });
    },
    staysAt: (before: Options, after: Options) => before.listen === after.listen,
    lost: (error) => lost.push(error.message),
  });
  return { open, lost, listener };
}

describe('a listener that moves', () => {
  it('keeps the old address until the new one is committed, and lets go of the new one that is not', async () => {
    const { open, listener } = movable(() => true);
    await listener.configure({ listen: 'a:1' });
    const change = await listener.prepare({ listen: 'b:2' });
    expect([...open]).toEqual(['a:1', 'b:2']);
    expect(listener.options).toEqual({ listen: 'a:1' });
    change.abort();
    await listener.configure({ listen: 'a:1' });
    expect([...open]).toEqual(['a:1']);
    await listener.configure({ listen: 'b:2' });
    expect([...open]).toEqual(['b:2']);
  });

  it('that cannot come back after it made way says so, rejects with the first reason, and is opened by the next change', async () => {
    let isAFree = true;
    const { lost, listener } = movable((listen) => listen === 'a:1' && isAFree);
    await listener.configure({ listen: 'a:1' });
    isAFree = false;
    await expect(listener.configure({ listen: 'b:1' })).rejects.toThrow('b:1 is taken');
    expect(lost).toEqual(['a:1 is taken']);
    expect(listener.server).toBeUndefined();
    isAFree = true;
    await listener.configure({ listen: 'a:1' });
    expect(listener.server?.address).toEqual({ host: 'a', port: 1 });
  });
});

describe('several changes', () => {
  it('are all made, or none of them', async () => {
    const told: string[] = [];
    const step = (name: string) => () =>
      Promise.resolve({
        commit: () => void told.push(`${name} made`),
        abort: () => void told.push(`${name} taken back`),
      });
    await expect(
      prepareAll([step('first'), () => Promise.reject(new Error('no')), step('third')]),
    ).rejects.toThrow('no');
    expect(told).toEqual(['first taken back']);
    (await prepareAll([step('first'), step('second')])).commit();
    expect(told.slice(1)).toEqual(['first made', 'second made']);
  });
});
