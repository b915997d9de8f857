import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MAX_SNAPSHOT_BYTES, SnapshotFile } from '../../src/stores/snapshot-file.ts';
import { temporaryDirectory } from '../cli/fixture.ts';

const NAME = 'state.json';

function place(): { folder: string; path: string; file: SnapshotFile } {
  const folder = temporaryDirectory();
  return { folder, path: join(folder, NAME), file: new SnapshotFile(folder, NAME) };
}

describe('a snapshot file', () => {
  it('has nothing to say where there is none, nor where there is not even a directory', async () => {
    const { folder, file } = place();
    expect(await file.read()).toBeUndefined();
    expect(await new SnapshotFile(join(folder, 'none'), NAME).read()).toBeUndefined();
  });

  it('makes its directory, for its owner alone, and the ones above', async () => {
    const folder = join(temporaryDirectory(), 'a', 'b');
    await new SnapshotFile(folder, NAME).prepare();
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  it('holds what was written last, for its owner alone, and nothing else is left', async () => {
    const { folder, path, file } = place();
    await file.write('one');
    await file.write('two');
    expect(await file.read()).toBe('two');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual([NAME]);
  });

  it('is not written through what somebody put in the way', async () => {
    const { folder, path, file } = place();
    writeFileSync(join(folder, 'victim'), 'untouched');
    symlinkSync(join(folder, 'victim'), `${path}.tmp`);
    symlinkSync(join(folder, 'victim'), path);
    await file.write('new');
    expect(readFileSync(join(folder, 'victim'), 'utf8')).toBe('untouched');
    expect(await file.read()).toBe('new');
  });

  it('is written where a process before was killed while it wrote', async () => {
    const { path, file } = place();
    writeFileSync(`${path}.tmp`, 'hal');
    await file.write('whole');
    expect(await file.read()).toBe('whole');
  });

  it('is as it was where writing fails, and says so', async () => {
    const { folder, path, file } = place();
    mkdirSync(path);
    await expect(file.write('new')).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
    expect(readdirSync(folder)).toEqual([NAME]);
  });

  it('is not read where it is a directory, a pipe or too large', async () => {
    const asFolder = place();
    mkdirSync(asFolder.path);
    await expect(asFolder.file.read()).rejects.toThrow('not a regular file');
    const asPipe = place();
    execFileSync('mkfifo', [asPipe.path]);
    await expect(asPipe.file.read()).rejects.toThrow('not a regular file');
    const large = place();
    writeFileSync(large.path, Buffer.alloc(MAX_SNAPSHOT_BYTES + 1));
    await expect(large.file.read()).rejects.toThrow('larger than');
  });

  it('is set aside, and of those that were only the newest are kept', async () => {
    const { folder, file } = place();
    for (const at of [9, 10, 11, 100, 101]) {
      await file.write(`${at}`);
      expect(await file.setAside(at)).toBe(join(folder, `${NAME}.aside-${at}`));
    }
    expect(readdirSync(folder).sort()).toEqual([11, 100, 101].map((at) => `${NAME}.aside-${at}`).sort());
    expect(await file.read()).toBeUndefined();
  });
});
