/** Every process the bench starts, so that none outlives it: not after an error, not after Ctrl-C. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';

const alive = new Set<ChildProcess>();

/** Starts a process in a group of its own, so that its helpers can be ended with it. */
export function start(command: string, args: readonly string[], stdio: StdioOptions): ChildProcess {
  const child = spawn(command, args, { stdio, detached: true });
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  // A missing program is told by `exited`; without a listener it would end the bench.
  child.once('error', () => alive.delete(child));
  return child;
}

export function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

/** Ends the process and its helpers at once: nothing it holds is worth waiting for. Resolves when it is gone. */
export async function stop(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  killGroup(child);
  await gone;
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}

/** Ends everything at once, now. Synchronous, so that it works while the process exits. */
export function killAll(): void {
  for (const child of alive) killGroup(child);
  alive.clear();
}

/** Ties the life of all started processes to this one. */
export function killAllAtExit(): void {
  process.on('exit', killAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      killAll();
      process.exit(130);
    });
  }
}
