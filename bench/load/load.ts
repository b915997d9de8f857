/** The bench's handle on its load process. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { start, stop } from '../lab/processes.ts';
import type { FromLoad, Job, JobResult, Target } from './jobs.ts';

const READY_TIMEOUT_MS = 10_000;
/** Longer than any job takes when the proxy behaves; a job is cut there and the round fails. */
const JOB_TIMEOUT_MS = 60_000;

export class Load {
  readonly upstreamPort: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, upstreamPort: number) {
    this.#child = child;
    this.upstreamPort = upstreamPort;
  }

  static async start(): Promise<Load> {
    const worker = join(import.meta.dirname, 'worker.ts');
    const child = start(process.execPath, [worker], ['ignore', 'inherit', 'inherit', 'ipc']);
    const message = await nextMessage(child, READY_TIMEOUT_MS);
    if (message.kind !== 'listening') throw new Error('the load process did not start');
    return new Load(child, message.port);
  }

  /** @throws Error when the job did not come to an end */
  async run(target: Target, job: Job): Promise<JobResult> {
    const answer = nextMessage(this.#child, JOB_TIMEOUT_MS);
    this.#child.send({ target, job });
    const message = await answer;
    if (message.kind === 'done') return message.result;
    throw new Error(message.kind === 'failed' ? message.message : 'the load process answered out of turn');
  }

  stop(): Promise<void> {
    return stop(this.#child);
  }
}

function nextMessage(child: ChildProcess, timeoutMs: number): Promise<FromLoad> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
      act();
    };
    const onMessage = (message: FromLoad): void => settle(() => resolve(message));
    const onExit = (): void => settle(() => reject(new Error('the load process ended')));
    const timer = setTimeout(
      () => settle(() => reject(new Error(`the load process said nothing for ${timeoutMs} ms`))),
      timeoutMs,
    );
    child.once('message', onMessage);
    child.once('exit', onExit);
  });
}
