/**
 * Runs a program for a check or a recovery: no shell, an environment of its own, output kept up to a limit. At the timeout it
 * is killed together with what it started, for it leads a process group.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Clock, TimerHandle } from '../core/clock.ts';

export interface Execution {
  /** Program and arguments. A name without a slash is looked for in the PATH of `env`. */
  readonly command: readonly string[];
  /** The whole environment, but for PATH, which has a usual value unless it is named. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** What becomes of processes that it leaves behind when it ends by itself: a check has none to leave, a restart may. */
  readonly leftovers: 'kill' | 'keep';
}

/** How a program ended. `output`: the beginning of what it wrote, both streams, trimmed. */
export type ExecutionEnd =
  | { readonly kind: 'exited'; readonly code: number; readonly output: string }
  | { readonly kind: 'killed'; readonly by: NodeJS.Signals; readonly output: string }
  | { readonly kind: 'timed-out'; readonly output: string }
  /** Whoever wanted it does so no more. */
  | { readonly kind: 'aborted'; readonly output: string }
  /** It did not begin: no such program, no right to run it. */
  | { readonly kind: 'not-started'; readonly message: string };

/** Kept of the output; the rest is read and dropped, so that the program is not held up. */
export const MAX_OUTPUT_BYTES = 4_096;

const USUAL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Output that is on its way when the program ends has so long; whoever still holds the pipe then is left over. */
const LAST_OUTPUT_MS = 200;

/** Never rejects. `signal` kills it, and everything it started. */
export async function execute(
  execution: Execution,
  clock: Clock,
  signal?: AbortSignal,
): Promise<ExecutionEnd> {
  if (signal?.aborted) return { kind: 'aborted', output: '' };
  const child = started(execution);
  if (child instanceof Error) return notStarted(child);
  return new Running(child, execution, clock).end(signal);
}

function started({ command: [program = '', ...args], env }: Execution): ChildProcess | Error {
  try {
    return spawn(program, args, {
      env: { PATH: USUAL_PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      shell: false,
    });
  } catch (error) {
    return error as Error;
  }
}

const notStarted = (error: Error): ExecutionEnd => ({ kind: 'not-started', message: error.message });

class Running {
  readonly #child: ChildProcess;
  readonly #execution: Execution;
  readonly #clock: Clock;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #why: 'timed-out' | 'aborted' | undefined;

  constructor(child: ChildProcess, execution: Execution, clock: Clock) {
    this.#child = child;
    this.#execution = execution;
    this.#clock = clock;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => this.#keep(chunk));
      // A pipe that breaks says nothing about the program.
      stream?.on('error', () => undefined);
    }
  }

  async end(signal: AbortSignal | undefined): Promise<ExecutionEnd> {
    const onAbort = (): void => this.#kill('aborted');
    signal?.addEventListener('abort', onAbort);
    const timer = this.#clock.setTimer(this.#execution.timeoutMs, () => this.#kill('timed-out'));
    const closed = once(this.#child, 'close').catch(() => undefined);
    const unbind = (): void => {
      this.#clock.clearTimer(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    try {
      const [code, by] = (await once(this.#child, 'exit')) as [number | null, NodeJS.Signals | null];
      // From here on nobody may kill what it leaves behind for being late: perhaps that is the agent.
      unbind();
      // Also what has let go of its output: a check that leaves something behind would do so every few seconds.
      if (this.#execution.leftovers === 'kill') this.#killGroup();
      await this.#lastOutput(closed);
      return this.#told(code, by);
    } catch (error) {
      return notStarted(error as Error);
    } finally {
      unbind();
    }
  }

  #told(code: number | null, by: NodeJS.Signals | null): ExecutionEnd {
    const output = this.#output();
    if (this.#why) return { kind: this.#why, output };
    return code === null ? { kind: 'killed', by: by ?? 'SIGKILL', output } : { kind: 'exited', code, output };
  }

  async #lastOutput(closed: Promise<unknown>): Promise<void> {
    let timer: TimerHandle | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = this.#clock.setTimer(LAST_OUTPUT_MS, () => resolve('late'));
    });
    const first = await Promise.race([closed, late]);
    if (timer) this.#clock.clearTimer(timer);
    if (first === 'late') this.#leaveBehind();
  }

  /** Somebody still has the pipes: processes of the same group, unless they have left it. */
  #leaveBehind(): void {
    const streams = [this.#child.stdout, this.#child.stderr];
    if (this.#execution.leftovers === 'kill' || this.#why !== undefined) {
      this.#killGroup();
      for (const stream of streams) stream?.destroy();
      return;
    }
    // What they write is read and dropped for as long as they live: a broken pipe would end them.
    for (const stream of streams) {
      stream?.removeAllListeners('data').resume();
      (stream as { unref?(): void } | null)?.unref?.();
    }
  }

  #kill(why: 'timed-out' | 'aborted'): void {
    this.#why ??= why;
    this.#killGroup();
  }

  #killGroup(): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has just ended by itself.
    }
  }

  #keep(chunk: Buffer): void {
    const room = MAX_OUTPUT_BYTES - this.#bytes;
    if (room <= 0) return;
    const kept = chunk.subarray(0, room);
    this.#bytes += kept.length;
    this.#chunks.push(kept);
  }

  #output(): string {
    return Buffer.concat(this.#chunks).toString('utf8').trim();
  }
}
