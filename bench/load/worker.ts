/** The load process: hosts the raw upstream, runs one job after another, and ends with the bench. */
import { runBig } from './big.ts';
import type { FromLoad, JobResult, ToLoad } from './jobs.ts';
import { runJson } from './json.ts';
import { runIdle, runSse } from './streams.ts';
import { startUpstream } from './upstream.ts';

const upstream = await startUpstream();

function run({ job, target }: ToLoad): Promise<JobResult> {
  switch (job.kind) {
    case 'json':
      return runJson(job, target);
    case 'sse':
      return runSse(job, target, upstream);
    case 'idle':
      return runIdle(job, target, upstream);
    case 'big':
      return runBig(job, target);
  }
}

function tell(message: FromLoad): void {
  process.send?.(message);
}

process.on('message', (message: ToLoad) => {
  run(message).then(
    (result) => tell({ kind: 'done', result }),
    (error: unknown) =>
      tell({ kind: 'failed', message: error instanceof Error ? error.message : String(error) }),
  );
});
process.once('disconnect', () => process.exit());
tell({ kind: 'listening', port: upstream.port });
