/**
 * A provider that loses three quarters of its workers for five minutes: who keeps what is left of it busy with work that
 * somebody waits for. In virtual time, from seeds: every run is the same, and the page shows what it brings.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import {
  CONTESTANTS,
  attemptsPerCall,
  goodput,
  playBrownOut,
} from '../../bench/scenarios/virtual/brown-out.ts';
import type { BrownOutRun } from '../../bench/scenarios/virtual/brown-out.ts';
import { playAllBrownOuts, reportBrownOut } from '../../bench/scenarios/virtual/report.ts';
import { readText } from '../support/docs-pages.ts';

const ADAPTIVE = ['budget, adaptive limit (aimd)', 'budget, adaptive limit (gradient)'] as const;

let runs: ReadonlyMap<string, BrownOutRun>;
const run = (name: string): BrownOutRun => runs.get(name) as BrownOutRun;

beforeAll(async () => {
  runs = await playAllBrownOuts();
});

describe('bulkhead -> retry, in a brown-out', () => {
  it.each(Object.keys(CONTESTANTS))('all is well before: %s', (name) => {
    expect(goodput(run(name), 'before')).toBeGreaterThan(0.95);
    expect(attemptsPerCall(run(name), 'before')).toBeLessThan(1.05);
  });

  it('naive retries collapse, and do not recover when the provider does', () => {
    expect(goodput(run('naive retries'), 'brown-out')).toBeLessThan(0.15);
    expect(goodput(run('naive retries'), 'after')).toBeLessThan(0.05);
    expect(attemptsPerCall(run('naive retries'), 'brown-out')).toBeGreaterThan(2.5);
  });

  it('a budget alone bounds the attempts, and lets the collapse end some time after its cause', () => {
    const budgeted = run('retries with a budget');
    expect(attemptsPerCall(budgeted, 'brown-out')).toBeLessThan(1.3);
    expect(goodput(budgeted, 'after')).toBeGreaterThan(0.3);
  });

  it.each(ADAPTIVE)('with an adaptive limit, goodput stays within a tenth of the ideal: %s', (name) => {
    expect(goodput(run(name), 'brown-out')).toBeGreaterThan(0.9);
    expect(goodput(run(name), 'after')).toBeGreaterThan(0.95);
    expect(run(name).wastedRatio).toBeLessThan(0.05);
  });

  it.each([1, 2, 3])('and not by luck (seed %i)', async (seed) => {
    for (const name of ADAPTIVE) {
      const other = await playBrownOut(CONTESTANTS[name] ?? {}, seed);
      expect(goodput(other, 'brown-out')).toBeGreaterThan(0.9);
      expect(goodput(other, 'after')).toBeGreaterThan(0.95);
    }
  });

  it('is shown as it is', () => {
    const { table, svg } = reportBrownOut(runs);
    expect(readText('docs/scenarios/brown-out.md')).toContain(table);
    expect(readText('docs/scenarios/brown-out.svg')).toBe(svg);
  });
});
