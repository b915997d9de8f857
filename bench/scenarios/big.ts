/** Big bodies: what a proxy costs per byte, and whether it keeps bytes that nobody takes. */
import { MIB } from '../load/content.ts';
import type { BigJob } from '../load/jobs.ts';
import { targetOf } from './target.ts';
import type { Scenario } from './scenario.ts';

const SLOW_READERS = 4;
const SLOW_MIB_PER_SECOND = 40;

export const bigScenario: Scenario = {
  name: 'big',
  title: 'Big bodies: 64 MiB down and up',
  describe: ({ options }) =>
    `${SLOW_READERS} readers at ${SLOW_MIB_PER_SECOND} MiB/s at once, then ${options.pace.bigTransfers} fast downloads ` +
    `and ${options.pace.bigTransfers} uploads in a row; growth is the peak RSS over the RSS before each phase`,
  primary: 'downCpuPerGib',
  together: false,
  columns: [
    { key: 'downCpuPerGib', title: 'down CPU s/GiB', digits: 2 },
    { key: 'upCpuPerGib', title: 'up CPU s/GiB', digits: 2 },
    { key: 'slowCpuPerGib', title: 'slow down CPU s/GiB', digits: 2 },
    { key: 'slowGrowthMb', title: 'slow growth MiB', digits: 0 },
    { key: 'downGrowthMb', title: 'down growth MiB', digits: 0 },
    { key: 'upGrowthMb', title: 'up growth MiB', digits: 0 },
  ],
  open: async ({ garage, load, options }) => {
    const job: BigJob = {
      kind: 'big',
      transfers: options.pace.bigTransfers,
      slowReaders: SLOW_READERS,
      slowBytesPerSecond: SLOW_MIB_PER_SECOND * MIB,
    };
    return {
      upstreamPort: load.upstreamPort,
      sample: (proxy) => load.run(targetOf(proxy, garage), job),
      close: () => Promise.resolve(),
    };
  },
};
