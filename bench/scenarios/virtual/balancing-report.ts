/** What is said of balancers when one endpoint is not like the others. */
import { BALANCERS, ODD_ONES, playBalancing, quantile } from './balancing.ts';
import type { BalancerName, BalancingRun, OddOne } from './balancing.ts';
import { svgOf } from './plot.ts';
import type { Report } from './report.ts';
import { markdownTable } from './table.ts';

/** Runs by odd one and balancer. */
export type BalancingRuns = Readonly<Record<OddOne, Readonly<Record<BalancerName, BalancingRun>>>>;

const namesOf = <K extends string>(record: Readonly<Record<K, unknown>>): readonly K[] =>
  Object.keys(record) as K[];

export async function playAllBalancing(): Promise<BalancingRuns> {
  const runs: Partial<Record<OddOne, Partial<Record<BalancerName, BalancingRun>>>> = {};
  for (const oddOne of namesOf(ODD_ONES)) {
    const row = (runs[oddOne] ??= {});
    for (const name of namesOf(BALANCERS)) row[name] = await playBalancing(BALANCERS[name], ODD_ONES[oddOne]);
  }
  return runs as BalancingRuns;
}

const ms = (value: number): string => `${Math.round(value)} ms`;
const share = (value: number): string => `${(value * 100).toFixed(1)} %`;

export function reportBalancing(runs: BalancingRuns): Report {
  const header = ['one of eight', 'balancer', 'p50', 'p99', 'slowest', 'share of the odd one', 'errors'];
  const rows = namesOf(ODD_ONES).flatMap((oddOne) =>
    namesOf(BALANCERS).map((name) => {
      const run = runs[oddOne][name];
      const times = [quantile(run, 0.5), quantile(run, 0.99), quantile(run, 1)].map(ms);
      return [oddOne, name, ...times, share(run.oddShare), share(run.errorRatio)];
    }),
  );
  const shown = ['round-robin', 'random', 'least-request', 'peak-ewma'] as const;
  const svg = svgOf({
    title: 'Eight servers, one of them ten times slower: how long calls take',
    yTitle: 'milliseconds',
    xTitle: 'percent of the calls',
    stepMinutes: 1,
    lines: shown.map((name) => ({
      name,
      values: Array.from({ length: 100 }, (_, i) =>
        Math.round(quantile(runs['ten times slower'][name], (i + 0.5) / 100)),
      ),
    })),
  });
  return { name: 'balancing', title: 'Balancing', table: markdownTable(header, rows), svg };
}
