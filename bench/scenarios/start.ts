/** Start-up: how long an agent waits for a fresh sidecar. */
import { rssKb } from '../lab/proc.ts';
import { noFailures } from '../load/jobs.ts';
import type { Scenario } from './scenario.ts';

export const startScenario: Scenario = {
  name: 'start',
  title: 'Start: from spawn to the first proxied answer',
  describe: () => 'a fresh process each time, asked every 2 ms',
  primary: 'startMs',
  together: false,
  columns: [
    { key: 'startMs', title: 'start ms', digits: 0 },
    { key: 'rssMb', title: 'RSS then MiB', digits: 0 },
  ],
  open: async ({ load }) => ({
    upstreamPort: load.upstreamPort,
    sample: async ({ startMs, pids }) => ({
      figures: { startMs, rssMb: rssKb(pids) / 1_024 },
      failures: noFailures,
    }),
    close: () => Promise.resolve(),
  }),
};
