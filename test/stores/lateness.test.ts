import { beforeEach, describe, expect, it } from 'vitest';
import { Lateness } from '../../src/stores/redis/lateness.ts';
import { FakeClock } from '../support/fake-clock.ts';

const TIMEOUT_MS = 50;

describe('a server that is late', () => {
  let clock: FakeClock;
  let away: number[];
  let lateness: Lateness;
  beforeEach(() => {
    clock = new FakeClock();
    const start = clock.now();
    away = [];
    lateness = new Lateness(clock, TIMEOUT_MS, () => away.push(clock.now() - start));
  });

  it('is away when nothing comes for five steps, however many wait for it', async () => {
    for (let n = 0; n < 100; n++) lateness.late();
    await clock.advance(199);
    expect(away).toEqual([]);
    await clock.advance(1);
    expect([away, clock.pendingTimers]).toEqual([[200], 0]);
  });

  it('is not away when all that was late has come, and nobody asks any more', async () => {
    for (let n = 0; n < 3; n++) lateness.late();
    for (let n = 0; n < 3; n++) lateness.cameLate();
    await clock.advance(60_000);
    expect([away, clock.pendingTimers]).toEqual([[], 0]);
  });

  it('is away when it answers, but never in time, also where it is seldom asked', async () => {
    for (let n = 0; n < 5; n++) {
      expect(away).toEqual([]);
      lateness.late();
      lateness.cameLate();
      await clock.advance(1_000);
    }
    expect(away).toEqual([4_000]);
  });

  it('is forgiven everything for one reply in time', async () => {
    for (let n = 0; n < 20; n++) {
      for (let step = 0; step < 4; step++) {
        lateness.late();
        lateness.cameLate();
        await clock.advance(TIMEOUT_MS);
      }
      lateness.over();
    }
    expect([away, clock.pendingTimers]).toEqual([[], 0]);
  });

  it('has no more than a second longer where commands have much time', async () => {
    lateness = new Lateness(clock, 10_000, () => away.push(clock.now()));
    const start = clock.now();
    lateness.late();
    await clock.advance(10_000);
    expect(away).toEqual([start + 1_000]);
  });
});
