/** Runs the command line as users do: a process of its own, with its exit code and its output. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { runCommandLine } from '../../src/cli/command-line.ts';
import { startChild } from '../support/child-process.ts';
import type { ChildOptions, NodeChild } from '../support/child-process.ts';

export const projectRoot = join(import.meta.dirname, '..', '..');
export const entry = join(projectRoot, 'src', 'main.ts');

/** What the machine that runs the tests may have set must not reach the children. */
const cleanEnv = { OUTRIGGER_CONFIG: undefined, FORCE_COLOR: undefined, NO_COLOR: undefined };

/** A process under load takes its time to start. */
const patience = { timeoutMs: 40_000 };

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions extends ChildOptions {
  /** Options for Node itself, before the entry point. */
  readonly nodeArgs?: readonly string[];
}

/** Runs `outrigger ...args` to its end. */
export async function outrigger(args: readonly string[], options: CliOptions = {}): Promise<Ended> {
  await using child = await startOutrigger(args, options);
  const { code } = await child.waitForExit(patience);
  return { code, stdout: child.stdout, stderr: child.stderr };
}

export function startOutrigger(
  args: readonly string[],
  { nodeArgs = [], env, cwd = projectRoot }: CliOptions = {},
): Promise<NodeChild> {
  return startChild([...nodeArgs, entry, ...args], { cwd, env: { ...cleanEnv, ...env } });
}

/** The same within this process, for what needs none of its own. */
export async function inProcess(args: readonly string[]): Promise<Ended> {
  let [stdout, stderr] = ['', ''];
  const code = await runCommandLine(args, {
    env: {},
    interactive: false,
    out: (text) => void (stdout += text),
    err: (text) => void (stderr += text),
  });
  return { code, stdout, stderr };
}

/** A running sidecar of its own. */
export interface RunningSidecar extends AsyncDisposable {
  readonly child: NodeChild;
  readonly port: number;
  readonly adminPort: number;
  /** `http://127.0.0.1:port` of the admin plane. */
  readonly adminUrl: string;
}

/** Resolves once its banner says where it listens. */
export async function runSidecar(args: readonly string[], options: CliOptions = {}): Promise<RunningSidecar> {
  const child = await startOutrigger(['run', ...args], options);
  try {
    const port = Number((await child.waitForLine(/data plane +https?:\/\/\S+:(\d+)$/, patience))[1]);
    const adminPort = Number((await child.waitForLine(/admin plane +http:\/\/\S+:(\d+) /, patience))[1]);
    const dispose = (): Promise<void> => child[Symbol.asyncDispose]();
    return {
      child,
      port,
      adminPort,
      adminUrl: `http://127.0.0.1:${adminPort}`,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
}

/** A directory that is gone when the test has finished. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'outrigger-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Writes a configuration into a directory of its own. @returns its path */
export function configFile(text: string, name = 'outrigger.yaml'): string {
  const path = join(temporaryDirectory(), name);
  writeFileSync(path, text);
  return path;
}

/** Listens on free ports; `upstreams` is YAML, indented by two. */
export const minimalConfig = (upstreams = '{}', server = ''): string => `
server:
  listen: 127.0.0.1:0
  admin: 127.0.0.1:0
${server}
upstreams: ${upstreams}
`;
