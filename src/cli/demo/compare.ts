/** Runs the demo's two sides one after the other and prints the comparison. */
import { systemClock } from '../../core/clock.ts';
import type { Io } from '../command.ts';
import { Agent, CLIENT_TIMEOUT_MS, planCalls } from './agent.ts';
import type { Sdk } from './agent.ts';
import { Progress } from './progress.ts';
import { notes, table } from './report.ts';
import type { SideResult } from './report.ts';
import { POLICIES, directly, throughSidecar } from './stage.ts';
import type { Side } from './stage.ts';

export interface DemoOptions {
  readonly calls: number;
  readonly concurrency: number;
  readonly seed: number;
}

/** @returns the exit code */
export async function compare(options: DemoOptions, io: Io): Promise<number> {
  const sdk = await loadSdk();
  if (!sdk) {
    io.err(
      'the demo needs the openai package, which is installed only for development: run npm ci in a checkout\n',
    );
    return 1;
  }
  const { calls, concurrency, seed } = options;
  io.err(`${calls} calls on each side, ${concurrency} at a time, seed ${seed}\n`);
  const play = async (label: string, start: (seed: number) => Promise<Side>): Promise<SideResult> => {
    const progress = new Progress(io, label, calls);
    const side = await start(seed);
    try {
      return await measure(side, new Agent(sdk, side.baseUrl, systemClock), {
        options,
        onEnd: progress.step,
      });
    } finally {
      progress.end();
      await side.close();
    }
  };
  const direct = await play('directly', directly);
  const sidecar = await play('through Outrigger', throughSidecar);
  io.out(`\n${table(direct, sidecar)}${notes({ policies: POLICIES, clientTimeoutMs: CLIENT_TIMEOUT_MS })}`);
  return 0;
}

async function measure(
  side: Side,
  agent: Agent,
  { options, onEnd }: { readonly options: DemoOptions; readonly onEnd: () => void },
): Promise<SideResult> {
  const startedAt = systemClock.now();
  const ends = await agent.work(planCalls(options.calls), options.concurrency, onEnd);
  return {
    ends,
    durationMs: systemClock.now() - startedAt,
    upstreamRequests: side.upstreamRequests(),
    breakerOpenings: side.breakerOpenings(),
  };
}

async function loadSdk(): Promise<Sdk | undefined> {
  try {
    return (await import('openai')).default;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}
