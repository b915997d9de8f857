/** A Node child process under a test's control. It never outlives the test process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { Conditions, type WaitOptions } from './conditions.ts';

export interface ChildOptions {
  /** Added to this process's environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Starts `node ...args` with this process's own binary. Dispose it (`await using`): that kills it.
 * @throws Error when the process cannot be started
 */
export async function startChild(args: readonly string[], options: ChildOptions = {}): Promise<NodeChild> {
  const child = spawn(process.execPath, args, {
    cwd: options.cwd ?? process.cwd(),
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  return new NodeChild(child);
}

export class NodeChild {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #conditions = new Conditions();
  readonly #killAtExit: () => void;
  #stdout = '';
  #stderr = '';
  #exit: ChildExit | undefined;

  constructor(child: ChildProcess) {
    this.pid = child.pid ?? 0;
    this.#child = child;
    this.#killAtExit = () => void child.kill('SIGKILL');
    process.on('exit', this.#killAtExit);
    child.stdout
      ?.setEncoding('utf8')
      .on('data', (text: string) => this.#onOutput(() => (this.#stdout += text)));
    child.stderr
      ?.setEncoding('utf8')
      .on('data', (text: string) => this.#onOutput(() => (this.#stderr += text)));
    // `close` and not `exit`: only then all output has been read.
    child.once('close', (code, signal) => this.#onExit({ code, signal }));
  }

  /** All output so far. */
  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** How it ended; `undefined` while it runs. */
  get exit(): ChildExit | undefined {
    return this.#exit;
  }

  /** The first complete line on stdout or stderr that matches, past output included. @throws Error if it exits before */
  waitForLine(pattern: RegExp, options?: WaitOptions): Promise<RegExpExecArray> {
    const probe = (): RegExpExecArray | undefined => {
      const match = this.#match(pattern);
      if (match === undefined && this.#exit)
        throw new Error(`exited without a line like ${String(pattern)}: ${this.#report()}`);
      return match;
    };
    return this.#conditions.until(probe, () => `a line like ${String(pattern)}: ${this.#report()}`, options);
  }

  /** Sends a signal to this very process; nothing when it is gone. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Exit code or signal, when it has ended and all output is read. */
  waitForExit(options?: WaitOptions): Promise<ChildExit> {
    return this.#conditions.until(
      () => this.#exit,
      () => `the exit of the child: ${this.#report()}`,
      options,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#exit) return;
    this.signal('SIGKILL');
    await this.waitForExit();
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    for (const output of [this.#stdout, this.#stderr]) {
      for (const line of output.split('\n').slice(0, -1)) {
        const match = new RegExp(pattern.source, pattern.flags.replace('g', '')).exec(line);
        if (match) return match;
      }
    }
    return undefined;
  }

  #onOutput(append: () => void): void {
    append();
    this.#conditions.changed();
  }

  #onExit(exit: ChildExit): void {
    this.#exit = exit;
    process.off('exit', this.#killAtExit);
    this.#conditions.changed();
  }

  #report(): string {
    const state = this.#exit ? `exit ${this.#exit.code ?? this.#exit.signal}` : 'running';
    return `${state}; stdout ${JSON.stringify(this.#stdout)}; stderr ${JSON.stringify(this.#stderr)}`;
  }
}
