import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DirectoryLock } from '../../src/stores/directory-lock.ts';
import { temporaryDirectory } from '../cli/fixture.ts';
import { startChild } from '../support/child-process.ts';

const NAME = 'lock';
const hasProc = process.platform === 'linux';

function place(): { folder: string; path: string; lock: () => DirectoryLock } {
  const folder = temporaryDirectory();
  return { folder, path: join(folder, NAME), lock: () => new DirectoryLock(folder, NAME) };
}

/** A claim as another process would have made it. */
const claimOf = (claim: object): string =>
  JSON.stringify({ pid: process.pid, host: hostname(), since: null, token: 'another', ...claim });

/** The number of a process that was there and is gone. */
async function deadPid(): Promise<number> {
  const child = await startChild(['-e', '']);
  await child.waitForExit();
  return child.pid;
}

describe('the lock of a directory', () => {
  it('is had by who came first, as often as he asks, until he gives it back', async () => {
    const { folder, lock } = place();
    const [first, second] = [lock(), lock()];
    expect([await first.hold(), await first.hold()]).toEqual([undefined, undefined]);
    expect(await second.hold()).toEqual({ pid: process.pid, host: hostname() });
    await second.release();
    expect(await first.hold()).toBeUndefined();
    await first.release();
    expect(readdirSync(folder)).toEqual([]);
    expect(await second.hold()).toBeUndefined();
  });

  it('is respected while another process lives', async () => {
    const { path, lock } = place();
    await using child = await startChild(['-e', 'setInterval(() => {}, 1000)']);
    writeFileSync(path, claimOf({ pid: child.pid }));
    const later = lock();
    expect(await later.hold()).toEqual({ pid: child.pid, host: hostname() });
    child.signal('SIGKILL');
    await child.waitForExit();
    expect(await later.hold()).toBeUndefined();
  });

  it('is taken from a process that is dead', async () => {
    const { path, lock } = place();
    writeFileSync(path, claimOf({ pid: await deadPid() }));
    expect(await lock().hold()).toBeUndefined();
  });

  it.runIf(hasProc)('is taken from a process whose number another one has now', async () => {
    const { path, lock } = place();
    writeFileSync(path, claimOf({ since: '1' }));
    expect(await lock().hold()).toBeUndefined();
  });

  it.each(['', '{', 'null', '5', '{"pid":"x"}'])('is taken where it holds %j', async (text) => {
    const { path, lock } = place();
    writeFileSync(path, text);
    const one = lock();
    expect([await one.hold(), await one.hold()]).toEqual([undefined, undefined]);
  });

  it('is taken from another machine once, and the one it was taken from gives way', async () => {
    const { path, lock } = place();
    const ours = lock();
    await ours.hold();
    writeFileSync(path, claimOf({ host: 'elsewhere' }));
    expect(await ours.hold()).toEqual({ pid: process.pid, host: 'elsewhere' });
    expect(await ours.hold()).toEqual({ pid: process.pid, host: 'elsewhere' });
    expect(await lock().hold()).toBeUndefined();
  });

  it('is not given back by who does not have it', async () => {
    const { path, lock } = place();
    const ours = lock();
    await ours.hold();
    writeFileSync(path, claimOf({ host: 'elsewhere' }));
    await ours.release();
    expect(readFileSync(path, 'utf8')).toContain('elsewhere');
  });

  it('is claimed again where somebody removed it', async () => {
    const { folder, lock } = place();
    const one = lock();
    await one.hold();
    await new DirectoryLock(folder, 'other').hold();
    writeFileSync(join(folder, NAME), '');
    expect(await one.hold()).toBeUndefined();
    expect(readFileSync(join(folder, NAME), 'utf8')).toContain(`"pid":${process.pid}`);
  });

  it('says so where there is no such directory, and forgets that when giving back', async () => {
    const lock = new DirectoryLock(join(temporaryDirectory(), 'none'), NAME);
    await expect(lock.hold()).rejects.toThrow('ENOENT');
    await lock.release();
  });

  it('is had by one only of many that come at the same time', async () => {
    const { lock } = place();
    const locks = Array.from({ length: 8 }, lock);
    await Promise.all(locks.map((one) => one.hold()));
    const held = await Promise.all(locks.map((one) => one.hold()));
    expect(held.filter((owner) => owner === undefined)).toHaveLength(1);
  });
});
