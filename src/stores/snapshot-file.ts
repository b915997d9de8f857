/**
 * One file that is either the old text or the new one, whenever the process or the machine dies: the text is written
 * beside it, brought to the disk and then put in its place. What cannot be used is set aside, for people to look at.
 */
import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Larger ones are not read, nor written: what policies remember is bounded, this is a mistake. */
export const MAX_SNAPSHOT_BYTES = 16 * 1024 * 1024;

/** Files that were set aside and are kept, the newest ones. */
const MAX_ASIDE = 3;

/** File systems say so that cannot bring directories to the disk; they do it by themselves, or not at all. */
const NO_DIRECTORY_SYNC: ReadonlySet<string | undefined> = new Set(['EINVAL', 'ENOTSUP', 'EPERM', 'EISDIR']);

export class SnapshotFile {
  readonly path: string;
  readonly #folder: string;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.path = join(folder, name);
  }

  /** Makes the directory where there is none. @throws a system error when that is impossible */
  async prepare(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
  }

  /** @returns undefined when there is no file. @throws a system error, or one that says why it is not read */
  async read(): Promise<string | undefined> {
    const found = await stat(this.path).catch(undefinedWhereMissing);
    if (!found) return undefined;
    // Whoever opens a pipe waits for its other end.
    if (!found.isFile()) throw new Error('it is not a regular file');
    if (found.size > MAX_SNAPSHOT_BYTES) throw new Error(`it is larger than ${MAX_SNAPSHOT_BYTES} bytes`);
    const file = await open(this.path, constants.O_RDONLY);
    try {
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  }

  /** One at a time. Readable by its owner only. @throws a system error; the file is then as it was */
  async write(text: string): Promise<void> {
    const beside = `${this.path}.tmp`;
    try {
      // Of a process that was killed; whatever it is, nothing is written through it.
      await rm(beside, { force: true, recursive: true });
      const file = await open(beside, 'wx', 0o600);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(beside, this.path);
    } catch (error) {
      await rm(beside, { force: true }).catch(() => undefined);
      throw error;
    }
    await this.#syncFolder();
  }

  /** Gives the file another name and forgets the oldest ones that were set aside. @returns its new path. @throws a system error */
  async setAside(wallMs: number): Promise<string> {
    const aside = `${this.path}.aside-${wallMs}`;
    await rename(this.path, aside);
    const prefix = `${basename(this.path)}.aside-`;
    const all = (await readdir(dirname(this.path))).filter((name) => name.startsWith(prefix));
    const byAge = all.sort((a, b) => Number(b.slice(prefix.length)) - Number(a.slice(prefix.length)));
    const old = byAge.slice(MAX_ASIDE).map((name) => join(this.#folder, name));
    await Promise.all(old.map((path) => rm(path, { force: true, recursive: true })));
    return aside;
  }

  async #syncFolder(): Promise<void> {
    const folder = await open(this.#folder, constants.O_RDONLY);
    try {
      await folder.sync();
    } catch (error) {
      if (!NO_DIRECTORY_SYNC.has((error as NodeJS.ErrnoException).code)) throw error;
    } finally {
      await folder.close();
    }
  }
}

function undefinedWhereMissing(error: NodeJS.ErrnoException): undefined {
  // The second: what should be the directory is a file.
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}
