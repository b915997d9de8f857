import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { watchTargets } from '../../src/files/watch-targets.ts';
import { watchFiles } from '../../src/files/watch.ts';
import type { FileWatch, WatchOptions } from '../../src/files/watch.ts';
import { FakeClock } from '../support/fake-clock.ts';

let directory: string;
let clock: FakeClock;
let watch: FileWatch | undefined;
let changes: (readonly string[])[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'config-watch-'));
  clock = new FakeClock();
  changes = [];
});

afterEach(() => {
  watch?.close();
  watch = undefined;
  rmSync(directory, { recursive: true, force: true });
});

const at = (...names: readonly string[]): string => join(directory, ...names);

function start(paths: readonly string[], more: Partial<WatchOptions> = {}): void {
  watch = watchFiles({ paths, clock, onChange: (changed) => changes.push(changed), ...more });
}

/** Events come from the kernel in their own time; the clock is moved until what they announce was found. */
async function seen(expected: readonly (readonly string[])[]): Promise<void> {
  await vi.waitFor(
    async () => {
      await clock.advance(200);
      expect(changes).toEqual(expected);
    },
    { timeout: 5_000, interval: 5 },
  );
}

describe('watch: real files', () => {
  it('notices a write, each time', async () => {
    const path = at('a.yaml');
    writeFileSync(path, 'one');
    start([path]);
    writeFileSync(path, 'two');
    await seen([[path]]);
    appendFileSync(path, ' and more');
    await seen([[path], [path]]);
  });

  it('notices an editor that renames a new file over the old one, each time', async () => {
    const path = at('a.yaml');
    writeFileSync(path, 'one');
    start([path]);
    for (const [index, text] of ['two', 'three', 'four'].entries()) {
      writeFileSync(at('.a.yaml.swp'), text);
      renameSync(at('.a.yaml.swp'), path);
      await seen(Array.from({ length: index + 1 }, () => [path]));
    }
  });

  it('notices that a file goes away and comes back', async () => {
    const path = at('a.yaml');
    writeFileSync(path, 'one');
    start([path]);
    rmSync(path);
    await seen([[path]]);
    writeFileSync(path, 'one');
    await seen([[path], [path]]);
  });

  it('notices a half-written file and then the whole one', async () => {
    const path = at('a.yaml');
    writeFileSync(path, 'upstreams: {}');
    start([path]);
    truncateSync(path, 4);
    await seen([[path]]);
    writeFileSync(path, 'upstreams: { a: 1 }');
    await seen([[path], [path]]);
  });

  it('notices the first swap of a mounted ConfigMap and every one after it', async () => {
    const swap = (version: number): void => {
      mkdirSync(at(`..v${version}`));
      writeFileSync(at(`..v${version}`, 'config.yaml'), `version: ${version}`);
      symlinkSync(`..v${version}`, at('..data_tmp'));
      renameSync(at('..data_tmp'), at('..data'));
      rmSync(at(`..v${version - 1}`), { recursive: true, force: true });
    };
    swap(1);
    symlinkSync('..data/config.yaml', at('config.yaml'));
    start([at('config.yaml')]);
    for (const version of [2, 3, 4, 5]) {
      swap(version);
      await seen(Array.from({ length: version - 1 }, () => [at('config.yaml')]));
    }
  });

  it('notices a change behind a symlink to another directory', async () => {
    mkdirSync(at('real'));
    writeFileSync(at('real', 'a.yaml'), 'one');
    symlinkSync(at('real', 'a.yaml'), at('link.yaml'));
    start([at('link.yaml')]);
    writeFileSync(at('real', 'new'), 'two');
    renameSync(at('real', 'new'), at('real', 'a.yaml'));
    await seen([[at('link.yaml')]]);
  });

  it('notices a file, and a directory, that did not exist', async () => {
    start([at('later', 'deep', 'a.yaml')]);
    mkdirSync(at('later'));
    await vi.waitFor(async () => {
      await clock.advance(200);
      expect(watchTargets([at('later', 'deep', 'a.yaml')]).has(at('later'))).toBe(true);
    });
    mkdirSync(at('later', 'deep'));
    writeFileSync(at('later', 'deep', 'a.yaml'), 'one');
    await seen([[at('later', 'deep', 'a.yaml')]]);
  });

  it('notices a directory that is deleted and made again', async () => {
    mkdirSync(at('d'));
    writeFileSync(at('d', 'a.yaml'), 'one');
    start([at('d', 'a.yaml')]);
    rmSync(at('d'), { recursive: true });
    await seen([[at('d', 'a.yaml')]]);
    mkdirSync(at('d'));
    writeFileSync(at('d', 'a.yaml'), 'two');
    await seen([[at('d', 'a.yaml')], [at('d', 'a.yaml')]]);
  });

  it('does nothing for a touch, a rewrite of the same text or a neighbour', async () => {
    const [path, other] = [at('a.yaml'), at('b.yaml')];
    writeFileSync(path, 'one');
    writeFileSync(other, 'one');
    start([path, other]);
    utimesSync(path, 1, 1);
    writeFileSync(path, 'one');
    writeFileSync(at('neighbour'), 'x');
    writeFileSync(other, 'two');
    await seen([[other]]);
  });

  it('watches what it is told later, and no longer what it was told before', async () => {
    const [path, secret] = [at('a.yaml'), at('secret')];
    writeFileSync(path, 'one');
    writeFileSync(secret, 'one');
    start([path]);
    watch?.update([secret]);
    writeFileSync(path, 'two');
    writeFileSync(secret, 'two');
    await seen([[secret]]);
  });

  it('does not lose a change that came between reading a file and telling what to watch', async () => {
    const [path, secret] = [at('a.yaml'), at('secret')];
    writeFileSync(path, 'one');
    writeFileSync(secret, 'one');
    start([path]);
    writeFileSync(path, 'two');
    watch?.update([path, secret]);
    await seen([[path]]);
  });

  it('does not wait for a pipe or read a device', () => {
    start(['/dev/zero', '/dev/stdin']);
    expect(changes).toEqual([]);
  });
});

describe('watch: time', () => {
  /** A system whose events the test fires. */
  function scripted(): Partial<WatchOptions> & {
    readonly fire: (name: string | null) => void;
    readonly open: () => number;
  } {
    const listeners = new Set<(name: string | null) => void>();
    return {
      fire: (name) => [...listeners].forEach((listener) => listener(name)),
      open: () => listeners.size,
      watchDirectory: (_directory, onEvent) => {
        listeners.add(onEvent);
        return { close: () => listeners.delete(onEvent) };
      },
    };
  }

  it('waits for quiet before it reads', async () => {
    const path = at('a.yaml');
    writeFileSync(path, 'one');
    const system = scripted();
    start([path], system);
    writeFileSync(path, 'two');
    system.fire('a.yaml');
    await clock.advance(150);
    system.fire('a.yaml');
    await clock.advance(199);
    expect(changes).toEqual([]);
    await clock.advance(1);
    expect(changes).toEqual([[path]]);
  });

  it('does not wait longer than five times that for quiet that never comes', async () => {
    const path = at('a.yaml');
    writeFileSync(path, 'one');
    const system = scripted();
    start([path], { ...system, debounceMs: 100 });
    writeFileSync(path, 'two');
    for (let i = 0; i < 10; i++) {
      system.fire('a.yaml');
      await clock.advance(50);
    }
    expect(changes).toEqual([[path]]);
  });

  it('leaves no timer and no watcher behind, and says nothing any more', async () => {
    const path = at('a.yaml');
    writeFileSync(path, 'one');
    const system = scripted();
    start([path], system);
    expect(system.open()).toBeGreaterThan(0);
    writeFileSync(path, 'two');
    system.fire(null);
    watch?.close();
    watch?.close();
    watch?.update([at('b')]);
    expect([clock.pendingTimers, system.open()]).toEqual([0, 0]);
    await clock.advance(10_000);
    expect(changes).toEqual([]);
  });

  it.each(['EMFILE', 'ENOSPC', 'ENOSYS'])(
    'looks every 5 s when the system cannot watch (%s)',
    async (code) => {
      const path = at('a.yaml');
      writeFileSync(path, 'one');
      const reasons: string[] = [];
      start([path], {
        onFallback: (reason) => reasons.push(reason),
        watchDirectory: () => {
          throw Object.assign(new Error(`watch ${code}`), { code });
        },
      });
      writeFileSync(path, 'two');
      await clock.advance(4_999);
      expect(changes).toEqual([]);
      await clock.advance(1);
      expect(changes).toEqual([[path]]);
      writeFileSync(at('b'), 'one');
      watch?.update([at('b')]);
      writeFileSync(at('b'), 'two');
      await clock.advance(5_000);
      expect(changes).toEqual([[path], [at('b')]]);
      expect(reasons).toEqual([`watch ${code}`]);
      watch?.close();
      expect(clock.pendingTimers).toBe(0);
    },
  );

  it('looks every 5 s when watching breaks down later', async () => {
    const path = at('a.yaml');
    writeFileSync(path, 'one');
    let fail: ((error: Error) => void) | undefined;
    start([path], {
      watchDirectory: (_directory, _onEvent, onError) => {
        fail = onError;
        return { close: () => undefined };
      },
    });
    fail?.(new Error('gone'));
    fail?.(new Error('gone again'));
    writeFileSync(path, 'two');
    await clock.advance(5_000);
    expect(changes).toEqual([[path]]);
  });
});

describe('watch: targets', () => {
  it('are the directories of the file and of every link on the way, each with the names that matter', () => {
    mkdirSync(at('..v1'));
    writeFileSync(at('..v1', 'c.yaml'), '');
    symlinkSync('..v1', at('..data'));
    symlinkSync('..data/c.yaml', at('c.yaml'));
    const targets = watchTargets([at('c.yaml')]);
    expect([...(targets.get(directory) ?? [])].sort()).toEqual(['..data', 'c.yaml']);
    expect([...(targets.get(at('..v1')) ?? [])]).toEqual(['c.yaml']);
  });

  it('end at links that lead in circles', () => {
    symlinkSync(at('b'), at('a'));
    symlinkSync(at('a'), at('b'));
    expect(watchTargets([at('a')]).has(directory)).toBe(true);
  });
});
