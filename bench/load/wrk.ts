/** Small JSON requests from wrk: one thread, in C, so that the load is not the bottleneck. */
import { join } from 'node:path';
import { start } from '../lab/processes.ts';
import { startMeter } from '../lab/proc.ts';
import { JSON_BYTES } from './content.ts';
import { foreignOf, type JobResult, type JsonJob, type Target } from './jobs.ts';

const GRACE_MS = 5_000;

interface WrkResult {
  readonly requests: number;
  readonly seconds: number;
  readonly status: number;
  readonly socket: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** wrk knows whole seconds only; durations are rounded up. */
export async function runWrk(job: JsonJob, target: Target): Promise<JobResult> {
  const stop = startMeter(target.pids, target.core);
  const result = await wrk(job, target.port);
  const reading = stop();
  const figures = {
    requests: result.requests,
    cpuSeconds: reading.cpuSeconds,
    wallSeconds: result.seconds,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
  };
  const failures = { non2xx: result.status, socketErrors: result.socket, incomplete: 0 };
  return { figures, failures, ...foreignOf(reading) };
}

async function wrk({ connections, durationMs, unique = false }: JsonJob, port: number): Promise<WrkResult> {
  const seconds = Math.ceil(durationMs / 1_000);
  const script = join(import.meta.dirname, 'wrk.lua');
  const url = `http://127.0.0.1:${port}/json`;
  const kind = unique ? ['unique'] : [];
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, url, String(JSON_BYTES), ...kind];
  const child = start('wrk', args, ['ignore', 'pipe', 'pipe']);
  const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1_000 + GRACE_MS);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  await new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  clearTimeout(timer);
  const line = /^RESULT (.*)$/m.exec(output)?.[1];
  if (line === undefined) throw new Error(`wrk gave no result:\n${output.slice(-500)}`);
  return JSON.parse(line) as WrkResult;
}
