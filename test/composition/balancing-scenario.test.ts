/**
 * Eight servers of which one is slow, fails at once or stands still: what the balancers make of it. In virtual time, from
 * seeds: every run is the same, and the page shows what it brings.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { playAllBalancing, reportBalancing } from '../../bench/scenarios/virtual/balancing-report.ts';
import type { BalancingRuns } from '../../bench/scenarios/virtual/balancing-report.ts';
import { BALANCERS, ODD_ONES, playBalancing, quantile } from '../../bench/scenarios/virtual/balancing.ts';
import type { BalancerName, BalancingRun, OddOne } from '../../bench/scenarios/virtual/balancing.ts';
import { readText } from '../support/docs-pages.ts';

const SEEDS = [1, 2, 3, 4, 5];
const SLOW = 'ten times slower';
const STILL = 'stands still for 2 s every 10 s';

let runs: BalancingRuns;

beforeAll(async () => {
  runs = await playAllBalancing();
});

const play = (name: BalancerName, oddOne: OddOne, seed: number): Promise<BalancingRun> =>
  playBalancing(BALANCERS[name], ODD_ONES[oddOne], seed);

const p99 = (run: BalancingRun): number => quantile(run, 0.99);

describe('balancing, with one endpoint that is slow', () => {
  it.each(SEEDS)('least request and peak EWMA beat round robin at p99 (seed %i)', async (seed) => {
    const turns = await play('round-robin', SLOW, seed);
    const least = await play('least-request', SLOW, seed);
    const ewma = await play('peak-ewma', SLOW, seed);
    expect(p99(least)).toBeLessThan(0.75 * p99(turns));
    expect(p99(ewma)).toBeLessThan(0.35 * p99(turns));
    expect(quantile(ewma, 0.5)).toBeLessThan(quantile(turns, 0.5));
    expect(turns.oddShare).toBeCloseTo(1 / 8, 3);
    expect(least.oddShare).toBeLessThan(0.06);
    expect(ewma.oddShare).toBeLessThan(0.01);
  });
});

describe('balancing, with one endpoint that stands still now and then', () => {
  it.each(SEEDS)('least request and peak EWMA beat round robin at p99 (seed %i)', async (seed) => {
    const turns = await play('round-robin', STILL, seed);
    for (const name of ['least-request', 'peak-ewma'] as const)
      expect(p99(await play(name, STILL, seed))).toBeLessThan(0.5 * p99(turns));
  });
});

describe('balancing, with one endpoint that fails at once', () => {
  it.each(SEEDS)('gives it next to nothing where it is noticed (seed %i)', async (seed) => {
    for (const name of ['least-request', 'peak-ewma', 'affinity by agent'] as const)
      expect((await play(name, 'fails at once', seed)).oddShare).toBeLessThan(0.01);
  });

  it('gives it its full share where nothing is looked at', () => {
    expect(runs['fails at once']['round-robin'].errorRatio).toBeCloseTo(1 / 8, 3);
  });
});

it('is shown as it is', () => {
  const { table, svg } = reportBalancing(runs);
  expect(readText('docs/scenarios/balancing.md')).toContain(table);
  expect(readText('docs/scenarios/balancing.svg')).toBe(svg);
});
