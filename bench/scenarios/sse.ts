/** Event streams: what a proxy costs per chunk, which is per token. */
import { peakRssKb } from '../lab/proc.ts';
import type { Proxy } from '../lab/proxy.ts';
import { CHAT_EVENT_BYTES, EVENT_BYTES } from '../load/content.ts';
import type { JobResult, SseJob } from '../load/jobs.ts';
import { targetOf } from './target.ts';
import { peakColumn, type Bench, type Scenario, type Stage } from './scenario.ts';

const STREAMS = 200;

const figures: Pick<Scenario, 'primary' | 'together' | 'columns'> = {
  primary: 'cpuPerMillion',
  together: true,
  columns: [
    { key: 'cpuPerMillion', title: 'CPU s/million chunks', digits: 1 },
    { key: 'perSecond', title: 'chunks/s', digits: 0 },
    { key: 'p50Ms', title: 'p50 ms', digits: 2 },
    { key: 'p99Ms', title: 'p99 ms', digits: 2 },
    { key: 'busy', title: 'busy %', digits: 0 },
    peakColumn,
  ],
};

const describe = (): string =>
  'one chunk under way per stream, the next is sent when it has arrived; each is written by itself';

export const sseScenario: Scenario = {
  name: 'sse',
  title: `Event streams: ${STREAMS} at once, chunks of ${EVENT_BYTES} bytes`,
  describe,
  ...figures,
  open: (bench) => openWith(bench, false),
};

export const tapScenario: Scenario = {
  name: 'tap',
  title: `Event streams of a model API, followed and not: ${STREAMS} at once, chunks of ${CHAT_EVENT_BYTES} bytes`,
  describe,
  peers: ['outrigger', 'tapped'],
  ...figures,
  open: (bench) => openWith(bench, true),
};

async function openWith({ garage, load, options }: Bench, chat: boolean): Promise<Stage> {
  const run = (proxy: Proxy, durationMs: number): Promise<JobResult> => {
    const job: SseJob = { kind: 'sse', streams: STREAMS, durationMs, chat };
    return load.run(targetOf(proxy, garage), job);
  };
  return {
    upstreamPort: load.upstreamPort,
    warm: async (proxy, durationMs) => void (await run(proxy, durationMs)),
    sample: async (proxy) => {
      const { figures: read, ...rest } = await run(proxy, options.pace.measureMs);
      const { events = 0, cpuSeconds = 0, wallSeconds = 0, p50Ms = 0, p99Ms = 0 } = read;
      const busy = (cpuSeconds / wallSeconds) * 100;
      const peakMb = peakRssKb(proxy.pids) / 1_024;
      const cpuPerMillion = (cpuSeconds * 1e6) / events;
      return {
        figures: { cpuPerMillion, perSecond: events / wallSeconds, p50Ms, p99Ms, busy, peakMb },
        ...rest,
      };
    },
    close: () => Promise.resolve(),
  };
}
