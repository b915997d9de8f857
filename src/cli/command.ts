/** What a subcommand is. Its file stays light: whatever is heavy is imported when it runs, so that help is quick. */
import type { Arguments } from './arguments.ts';

/** Where a command reads from and writes to, apart from files and sockets. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether a person watches standard error. */
  readonly interactive: boolean;
  /** Results: standard output. */
  out(text: string): void;
  /** Everything else: standard error. */
  err(text: string): void;
}

export interface Option {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** May be given several times. */
  readonly multiple?: boolean;
  /** What stands for the value in the help, such as `FILE`. */
  readonly placeholder?: string;
  readonly help: string;
}

export interface Command {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** More, for the help of this command. Lines of at most 100 characters. */
  readonly details?: string;
  /** Names of the arguments that must be given, in order. */
  readonly operands?: readonly string[];
  readonly options?: Readonly<Record<string, Option>>;
  /** @returns the exit code: 0, or 1 when it failed or found something invalid */
  run(args: Arguments, io: Io): Promise<number>;
}

/** The command line itself is wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
