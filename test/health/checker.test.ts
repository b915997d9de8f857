import { describe, expect, it } from 'vitest';
import { settle } from '../support/fake-clock.ts';
import { chance, checkerRig } from './checker-rig.ts';

describe('an endpoint that has just come', () => {
  it('is checked at once, and well with its first success', async () => {
    const { start, member, looksAt } = checkerRig();
    await start('a');
    expect(looksAt('a')).toEqual([0]);
    expect(member('a').state).toBe('available');
  });

  it('is asked often until it answers, and its failures do not count meanwhile', async () => {
    const { start, answer, member, looksAt, clock } = checkerRig();
    answer('a', 'failed');
    await start('a');
    await clock.advance(29_999);
    expect(looksAt('a')).toHaveLength(30);
    expect(member('a').state).toBe('starting');
    await clock.advance(1);
    expect(member('a').state).toBe('unhealthy');
  });

  it('is checked within a second of its appearance on the list', async () => {
    const { start, list, looksAt, member, clock } = checkerRig();
    await start('a');
    list('a', 'b');
    await clock.advance(1_000);
    expect(looksAt('b')).toEqual([1_000]);
    expect(looksAt('a')).toEqual([0]);
    expect(member('b').state).toBe('available');
  });

  it('is trusted until a check says otherwise, when it served before checks were switched on', async () => {
    const { start, answer, member, memberOf, clock } = checkerRig({ startGraceMs: 30_000 });
    const seasoned = memberOf('http://a');
    seasoned.setHealth('unknown');
    seasoned.begin(0);
    seasoned.end();
    answer('a', 'failed');
    await start('a');
    expect(member('a').state).toBe('available');
    await clock.advance(2_000);
    expect(member('a').state).toBe('unhealthy');
  });
});

describe('an endpoint that fails and heals', () => {
  it('leaves after `fall` failures and comes back after `rise` successes, quickly once there is a doubt', async () => {
    const { start, answer, member, clock, eventsNamed } = checkerRig();
    await start('a');
    await clock.advance(5_000);
    answer('a', 'failed');
    await clock.advance(10_000);
    expect(member('a').state).toBe('available');
    await clock.advance(1_000);
    expect(member('a').state).toBe('available');
    await clock.advance(1_000);
    expect(member('a').state).toBe('unhealthy');
    answer('a', 'ok');
    await clock.advance(10_000);
    expect(member('a').state).toBe('unhealthy');
    await clock.advance(1_000);
    expect(member('a').state).toBe('available');
    expect(eventsNamed('health-changed').map(({ from, to, detail }) => [from, to, detail])).toEqual([
      ['starting', 'healthy', 'it was ok'],
      ['healthy', 'unhealthy', 'it was failed'],
      ['unhealthy', 'healthy', 'it was ok'],
    ]);
    expect(eventsNamed('health-check-failed')).toHaveLength(1);
  });

  it('is degraded as soon as it says so', async () => {
    const { start, answer, member, clock } = checkerRig();
    await start('a');
    answer('a', 'degraded');
    await clock.advance(5_000);
    expect(member('a').state).toBe('degraded');
    expect(member('a').check).toMatchObject({ result: 'degraded', successes: 2, failures: 0 });
  });

  it('fails by saying nothing within the timeout', async () => {
    const { start, answer, member, clock, running } = checkerRig({ fall: 1 });
    await start('a');
    answer('a', 'hang');
    await clock.advance(5_000);
    expect(running.size).toBe(1);
    await clock.advance(5_000);
    expect(running.size).toBe(0);
    expect(member('a').state).toBe('unhealthy');
    expect(member('a').check).toMatchObject({
      result: 'failed',
      detail: 'not done within 5000 ms',
      durationMs: 5_000,
      failures: 1,
    });
  });

  it('tells its way back, while it is ejected, of every check that succeeds and of none that fails', async () => {
    const { start, answer, member, clock } = checkerRig();
    await start('a');
    await clock.advance(5_000);
    const checked: string[] = [];
    member('a').setEjected(true, { calls: 'none', checked: (health) => checked.push(health) });
    answer('a', 'failed');
    await clock.advance(10_000);
    expect([member('a').health, checked]).toEqual(['healthy', []]);
    answer('a', 'ok');
    await clock.advance(1_000);
    await clock.advance(10_000);
    expect(checked).toEqual(['healthy', 'healthy']);
  });

  it('is asked by the name that it has now', async () => {
    const { start, lists, looksAt, clock } = checkerRig();
    await start('a');
    lists.now = lists.now.map((one) => ({ ...one, endpoint: { ...one.endpoint, host: 'b' } }));
    await clock.advance(1_000);
    expect(looksAt('a')).toHaveLength(1);
    await clock.advance(10_000);
    expect(looksAt('a')).toEqual([0, 6_000]);
  });

  it('is still checked when it is drained or disabled', async () => {
    const { start, member, looksAt, clock } = checkerRig();
    await start('a');
    member('a').operate('disabled');
    await clock.advance(25_000);
    expect(looksAt('a')).toEqual([0, 5_000, 15_000, 25_000]);
  });
});

describe('checks in time', () => {
  it('never overlap themselves, however long they take', async () => {
    const { start, answer, clock, running, looksAt } = checkerRig({ intervalMs: 100, timeoutMs: 5_000 });
    answer('a', 'hang');
    await start('a');
    await clock.advance(4_999);
    expect(running.size).toBe(1);
    expect(looksAt('a')).toHaveLength(1);
    await clock.advance(101);
    expect(looksAt('a')).toEqual([0, 5_100]);
  });

  it('go out a few at a time', async () => {
    const names = Array.from({ length: 100 }, (_, index) => `e${index}`);
    const { start, answer, running, looks } = checkerRig({ concurrency: 7 });
    for (const name of names) answer(name, 'hang');
    await start(...names);
    expect([running.size, looks.length]).toEqual([7, 7]);
    for (const one of [...running].slice(0, 3)) one.end('ok');
    await settle();
    expect([running.size, looks.length]).toEqual([7, 10]);
  });

  it('of endpoints that came together go separate ways', async () => {
    const names = Array.from({ length: 100 }, (_, index) => `e${index}`);
    const { start, looks, clock } = checkerRig({ jitter: 0.2, concurrency: 1_000 }, chance(7));
    await start(...names);
    await clock.advance(10_000);
    const perSecond = new Map<number, number>();
    for (const { at } of looks.slice(100)) {
      const second = Math.floor(at / 1_000);
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
    }
    expect(Math.max(...perSecond.values())).toBeLessThan(25);
    expect(looks.length).toBeGreaterThanOrEqual(200);
  });

  it('have pauses that are up to a share longer or shorter', async () => {
    const { start, looksAt, clock } = checkerRig({ jitter: 0.5 }, chance(1));
    await start('a');
    await clock.advance(600_000);
    const instants = looksAt('a').slice(1);
    const pauses = instants.slice(1).map((at, index) => at - instants[index]!);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(5_000);
    expect(Math.max(...pauses)).toBeLessThan(15_000);
    expect(Math.max(...pauses) - Math.min(...pauses)).toBeGreaterThan(5_000);
  });

  it('do not notice that the wall clock was put forward', async () => {
    const { start, looksAt, clock } = checkerRig();
    await start('a');
    clock.wallOffsetMs = 3_600_000;
    await clock.advance(5_000);
    expect(looksAt('a')).toEqual([0, 5_000]);
  });
});

describe('an endpoint that goes', () => {
  it('is checked no more, and a check that is under way is broken off and says nothing', async () => {
    const { start, list, answer, running, clock, looksAt, eventsNamed } = checkerRig();
    answer('a', 'hang');
    await start('a', 'b');
    expect(running.size).toBe(1);
    list('b');
    await clock.advance(1_000);
    expect(running.size).toBe(0);
    await clock.advance(60_000);
    expect(looksAt('a')).toHaveLength(1);
    expect(eventsNamed('health-checked').map(({ endpoint }) => endpoint)).not.toContain('http://a');
  });

  it('gives its turn to the others', async () => {
    const { start, list, answer, clock, looksAt } = checkerRig({ concurrency: 1 });
    answer('a', 'hang');
    await start('a', 'b');
    expect(looksAt('b')).toEqual([]);
    list('b');
    await clock.advance(1_000);
    expect(looksAt('b')).toHaveLength(1);
  });

  it('is new when it comes back', async () => {
    const { start, list, answer, members, member, clock } = checkerRig({ fall: 1 });
    await start('a');
    answer('a', 'failed');
    await clock.advance(5_000);
    expect(member('a').state).toBe('unhealthy');
    members.delete('http://a');
    list('a');
    await clock.advance(1_000);
    expect(member('a').state).toBe('starting');
  });
});

describe('a reload', () => {
  it('goes on where it stood: counts stay, and nothing is checked before its time', async () => {
    const { start, restart, checker, answer, member, looksAt, clock } = checkerRig();
    await start('a');
    answer('a', 'failed');
    await clock.advance(6_000);
    expect(member('a').check?.failures).toBe(2);
    checker.stop();
    restart();
    await clock.advance(999);
    expect(looksAt('a')).toEqual([0, 5_000, 6_000]);
    await clock.advance(1);
    expect(member('a').state).toBe('unhealthy');
  });

  it('does not lengthen a check that hangs', async () => {
    const { start, restart, checker, answer, member, clock } = checkerRig();
    answer('a', 'hang');
    await start('a');
    for (let reload = 0; reload < 4; reload++) {
      await clock.advance(1_000);
      checker.stop();
      restart();
    }
    await clock.advance(1_000);
    expect(member('a').check).toMatchObject({ result: 'failed', durationMs: 5_000 });
  });

  it('leaves no timer when checks are not gone on with', async () => {
    const { start, checker, clock, looks } = checkerRig();
    await start('a', 'b');
    checker.stop();
    expect(clock.pendingTimers).toBe(0);
    await clock.advance(60_000);
    expect(looks).toHaveLength(2);
  });
});

describe('the end', () => {
  it('breaks off what is under way and leaves nothing', async () => {
    const { start, checker, answer, running, clock, member, isDisposed } = checkerRig({ concurrency: 1 });
    answer('a', 'hang');
    await start('a', 'b', 'c');
    checker.dispose();
    await settle();
    expect([running.size, clock.pendingTimers, isDisposed()]).toEqual([0, 0, true]);
    expect(member('a').check).toBeUndefined();
    expect(member('b').check).toBeUndefined();
  });

  it('is no trouble before a beginning', () => {
    const { checker, clock } = checkerRig();
    checker.dispose();
    expect(clock.pendingTimers).toBe(0);
  });
});
