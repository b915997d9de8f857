/** Silent streams: what it costs to hold a connection open while a model thinks. */
import type { IdleJob } from '../load/jobs.ts';
import { targetOf } from './target.ts';
import type { Scenario } from './scenario.ts';

export const idleScenario: Scenario = {
  name: 'idle',
  title: 'Idle event streams',
  describe: ({ options }) =>
    `${options.pace.idleStreams} streams with one event each, then silence, over a baseline with as many; ` +
    'growth of anonymous memory; “left upstream”: streams still open there 1.5 s after all clients hung up',
  primary: 'kbPerStream',
  together: false,
  columns: [
    { key: 'kbPerStream', title: 'KiB/idle stream', digits: 1 },
    { key: 'baselineMb', title: 'baseline RSS MiB', digits: 0 },
    { key: 'leftUpstream', title: 'left upstream', digits: 0 },
  ],
  open: async ({ garage, load, options }) => {
    const { idleStreams, settleMs } = options.pace;
    const job: IdleJob = { kind: 'idle', streams: idleStreams, settleMs };
    return {
      upstreamPort: load.upstreamPort,
      sample: (proxy) => load.run(targetOf(proxy, garage), job),
      close: () => Promise.resolve(),
    };
  },
};
