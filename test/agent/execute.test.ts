import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { execute, MAX_OUTPUT_BYTES } from '../../src/agent/execute.ts';
import type { Execution, ExecutionEnd } from '../../src/agent/execute.ts';
import { systemClock } from '../../src/core/clock.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { isAlive, untilGone } from './processes.ts';

const node = (script: string): string[] => [process.execPath, '-e', script];

const run = (command: readonly string[], more: Partial<Execution> = {}): Promise<ExecutionEnd> =>
  execute({ command, env: {}, timeoutMs: 10_000, leftovers: 'kill', ...more }, systemClock);

describe('a program that ends', () => {
  it('is told by its exit code and what it wrote, on both streams', async () => {
    const script = 'console.log("out"); console.error("err"); process.exitCode = 3';
    const end = await run(node(script));
    expect(end).toMatchObject({ kind: 'exited', code: 3 });
    expect((end as { output: string }).output.split('\n').sort()).toEqual(['err', 'out']);
  });

  it('by a signal is told by it', async () => {
    expect(await run(node('process.kill(process.pid, "SIGTERM")'))).toMatchObject({
      kind: 'killed',
      by: 'SIGTERM',
    });
  });

  it('may write as much as it likes: the beginning is kept', async () => {
    const end = await run(node('process.stdout.write("x".repeat(5_000_000))'));
    expect(end).toEqual({ kind: 'exited', code: 0, output: 'x'.repeat(MAX_OUTPUT_BYTES) });
  });

  it('gets no shell: what would be one there is an argument', async () => {
    const end = await run(['/bin/echo', '$HOME', ';', 'exit', '7', '`id`']);
    expect(end).toEqual({ kind: 'exited', code: 0, output: '$HOME ; exit 7 `id`' });
  });

  it('gets the environment that was written for it, and a usual PATH, and nothing else', async () => {
    const end = await run(['env'], { env: { TOKEN: 'a b' } });
    const names = (end as { output: string }).output.split('\n').map((line) => line.split('=')[0]);
    expect(names.sort()).toEqual(['PATH', 'TOKEN']);
  });

  it('that is not there was not started', async () => {
    expect(await run(['/nowhere/at-all'])).toMatchObject({
      kind: 'not-started',
      message: expect.stringContaining('ENOENT') as string,
    });
    expect(await run(['bad\0name'])).toMatchObject({ kind: 'not-started' });
  });
});

/** A program that has a child of its own, writes both ids to `file`, and ends when told so. */
function family(file: string, ending: string): string[] {
  const child = 'setInterval(() => undefined, 1000)';
  return node(`
    const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: 'inherit' });
    require('node:fs').writeFileSync(${JSON.stringify(file)}, process.pid + ' ' + child.pid);
    console.log('ready');
    child.unref();
    ${ending}`);
}

function fileFor(): string {
  const folder = mkdtempSync(join(tmpdir(), 'outrigger-execute-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, 'pids');
}

const pidsIn = (file: string): number[] => readFileSync(file, 'utf8').split(' ').map(Number);

describe('a program that does not end', () => {
  it('is killed at its timeout, and everything that it started', async () => {
    const file = fileFor();
    const command = family(
      file,
      'setInterval(() => undefined, 1000); process.on("SIGTERM", () => undefined);',
    );
    const end = await run(command, { timeoutMs: 1_500 });
    expect(end).toEqual({ kind: 'timed-out', output: 'ready' });
    await Promise.all(pidsIn(file).map(untilGone));
  });

  it('is killed when nobody wants it any more', async () => {
    const abort = new AbortController();
    const clock = new FakeClock();
    const command = node('setInterval(() => undefined, 1000)');
    const ending = execute({ command, env: {}, timeoutMs: 1_000, leftovers: 'kill' }, clock, abort.signal);
    abort.abort();
    expect(await ending).toEqual({ kind: 'aborted', output: '' });
    expect(clock.pendingTimers).toBe(0);
    expect(await execute({ command, env: {}, timeoutMs: 1, leftovers: 'kill' }, clock, abort.signal)).toEqual(
      { kind: 'aborted', output: '' },
    );
  });
});

describe('what a program leaves behind when it ends', () => {
  it('is killed after a check', async () => {
    const file = fileFor();
    expect(await run(family(file, ''), { leftovers: 'kill' })).toMatchObject({ kind: 'exited', code: 0 });
    await Promise.all(pidsIn(file).map(untilGone));
  });

  it('is killed after a check also where it has let go of the output', async () => {
    const end = await run(['/bin/sh', '-c', 'sleep 600 >/dev/null 2>&1 & echo $!']);
    await untilGone(Number((end as { output: string }).output));
  });

  it('lives on also where the time of the command is over, or nobody wants it any more, while its last output is awaited', async () => {
    const file = fileFor();
    const [clock, abort] = [new FakeClock(), new AbortController()];
    const timers = vi.spyOn(clock, 'setTimer');
    const command = family(file, '');
    const ending = execute({ command, env: {}, timeoutMs: 100, leftovers: 'keep' }, clock, abort.signal);
    // It has ended; the pipe is still open in the child.
    const waits = () => expect(timers).toHaveBeenLastCalledWith(200, expect.anything());
    await vi.waitFor(waits, { timeout: 10_000, interval: 10 });
    abort.abort();
    await clock.advance(200);
    expect(await ending).toMatchObject({ kind: 'exited', code: 0 });
    const [, child = 0] = pidsIn(file);
    expect(isAlive(child)).toBe(true);
    process.kill(child, 'SIGKILL');
    await untilGone(child);
  });

  it('lives on after a command that starts an agent', async () => {
    const file = fileFor();
    expect(await run(family(file, ''), { leftovers: 'keep' })).toMatchObject({ kind: 'exited', code: 0 });
    const [, child = 0] = pidsIn(file);
    expect(isAlive(child)).toBe(true);
    process.kill(child, 'SIGKILL');
    await untilGone(child);
  });
});
