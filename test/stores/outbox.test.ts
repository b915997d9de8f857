import { describe, expect, it } from 'vitest';
import { Outbox } from '../../src/stores/redis/outbox.ts';
import { FakeClock } from '../support/fake-clock.ts';

function box() {
  const clock = new FakeClock();
  const connection = { up: false };
  const outbox = new Outbox(connection, clock);
  const heard: string[] = [];
  const say = (text: string) => () => {
    if (!connection.up) return Promise.resolve(undefined);
    heard.push(text);
    return Promise.resolve(1);
  };
  return { clock, connection, outbox, heard, say };
}

describe('Outbox', () => {
  it('says nothing while nobody hears it, then everything in order, once', async () => {
    const { clock, connection, outbox, heard, say } = box();
    for (const text of ['a', 'b', 'c']) outbox.add(say(text));
    await clock.advance(5_000);
    expect([heard, outbox.size]).toEqual([[], 3]);
    connection.up = true;
    await clock.advance(500);
    expect([heard, outbox.size, clock.pendingTimers]).toEqual([['a', 'b', 'c'], 0, 0]);
  });

  it('does not say what was taken back', async () => {
    const { clock, connection, outbox, heard, say } = box();
    const takeBack = outbox.add(say('a'));
    outbox.add(say('b'));
    takeBack();
    connection.up = true;
    await clock.advance(500);
    expect([heard, outbox.size]).toEqual([['b'], 0]);
  });

  it('stops where it is not heard any more, and begins there again', async () => {
    const { clock, connection, outbox, heard, say } = box();
    connection.up = true;
    for (let n = 0; n < 100; n++)
      outbox.add(() => {
        if (n === 40 && !heard.includes('back')) connection.up = false;
        return say(`${n}`)();
      });
    await clock.advance(500);
    expect(heard).toHaveLength(40);
    heard.push('back');
    connection.up = true;
    await clock.advance(500);
    expect(heard).toEqual([
      ...Array.from({ length: 40 }, (_, n) => `${n}`),
      'back',
      ...Array.from({ length: 60 }, (_, n) => `${n + 40}`),
    ]);
  });

  it('gives up what nobody waits for any more, and keeps no timer for it', async () => {
    const { clock, outbox, say } = box();
    outbox.add(say('a'));
    await clock.advance(11 * 60_000);
    expect([outbox.size, clock.pendingTimers]).toEqual([0, 0]);
  });

  it('is bounded: the oldest goes first', async () => {
    const { clock, connection, outbox, heard, say } = box();
    for (let n = 0; n < 10_002; n++) outbox.add(say(`${n}`));
    expect(outbox.size).toBe(10_000);
    connection.up = true;
    while (outbox.size > 0) await clock.advance(500);
    expect([heard[0], heard.length]).toEqual(['2', 10_000]);
  });
});
