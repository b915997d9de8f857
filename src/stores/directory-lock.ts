/**
 * Says which process owns a directory, in a file there. The owner of a file that a dead process left behind is whoever
 * comes next. Where nobody can say whether the owner lives, as on another machine, the newcomer takes over as well: the
 * owner looks before each use, finds out and gives way, so that in no case two of them go on.
 */
import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

export interface Owner {
  readonly pid: number;
  readonly host: string;
}

interface Claim extends Owner {
  /** Tells processes with the same number apart; null where the system does not say. */
  readonly since: string | null;
  readonly token: string;
}

export class DirectoryLock {
  readonly #path: string;
  readonly #token = randomUUID();
  /** Whoever has it after us came later: we are the one who gives way. */
  #wasOurs = false;

  constructor(folder: string, name: string) {
    this.#path = join(folder, name);
  }

  /**
   * Takes the directory, or makes sure that it is still ours. To be called before each use.
   * @returns the owner that keeps it; undefined when it is ours. @throws a system error
   */
  async hold(): Promise<Owner | undefined> {
    const claim = await this.#read();
    if (claim?.token === this.#token) return undefined;
    const life = claim ? await lifeOf(claim) : 'dead';
    if (claim && (life === 'alive' || (life === 'unknown' && this.#wasOurs))) return ownerOf(claim);
    await this.#claim();
    this.#wasOurs = true;
    // Of several that came at the same time, the last one has it.
    const winner = await this.#read();
    return winner && winner.token !== this.#token ? ownerOf(winner) : undefined;
  }

  /** Never throws: what stays behind is a dead process's, which nobody heeds. */
  async release(): Promise<void> {
    try {
      if ((await this.#read())?.token === this.#token) await rm(this.#path, { force: true });
    } catch {
      // It stays behind.
    }
  }

  async #claim(): Promise<void> {
    const { pid } = process;
    const claim: Claim = {
      pid,
      host: hostname(),
      since: (await statusOf(pid))?.since ?? null,
      token: this.#token,
    };
    const beside = `${this.#path}.${this.#token}`;
    try {
      await writeFile(beside, JSON.stringify(claim), { mode: 0o600, flag: 'wx' });
      await rename(beside, this.#path);
    } catch (error) {
      await rm(beside, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  /** @returns undefined also for what no process of ours wrote */
  async #read(): Promise<Claim | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    try {
      const claim = JSON.parse(text) as Partial<Claim> | null;
      return Number.isSafeInteger(claim?.pid) && typeof claim?.token === 'string'
        ? (claim as Claim)
        : undefined;
    } catch {
      return undefined;
    }
  }
}

const ownerOf = ({ pid, host }: Claim): Owner => ({ pid, host });

/** Whether that very process lives, as far as this machine can tell. */
async function lifeOf({ pid, host, since }: Claim): Promise<'alive' | 'dead' | 'unknown'> {
  if (host !== hostname()) return 'unknown';
  const found = await statusOf(pid);
  if (found) return found.gone || (since !== null && since !== found.since) ? 'dead' : 'alive';
  // In a container that started again, the process before had our number.
  if (pid <= 0 || pid === process.pid) return 'dead';
  try {
    process.kill(pid, 0);
  } catch (error) {
    // It may be somebody else's.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return 'dead';
  }
  return 'alive';
}

interface ProcessStatus {
  /** Nobody has asked for its exit code yet; it does nothing any more. */
  readonly gone: boolean;
  /** When it began, in the system's own count. */
  readonly since: string | null;
}

/** Of the fields after the name of the program. */
const START_FIELD = 19;

/** @returns undefined where there is no such process, or no such way to know */
async function statusOf(pid: number): Promise<ProcessStatus | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { gone: 'ZX'.includes(fields[0] ?? ''), since: fields[START_FIELD] ?? null };
  } catch {
    return undefined;
  }
}
