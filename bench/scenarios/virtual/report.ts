/** What is said of the scenarios: a table and a picture for each. */
import { BROWN_OUT, CONTESTANTS, SLICE_MS, attemptsPerCall, goodput, playBrownOut } from './brown-out.ts';
import type { BrownOutRun } from './brown-out.ts';
import * as pacing from './pacing.ts';
import type { PacingRun } from './pacing.ts';
import { svgOf } from './plot.ts';
import type { Line } from './plot.ts';
import { markdownTable, percent } from './table.ts';

export interface Report {
  /** Name of its page and of its picture in docs/scenarios. */
  readonly name: 'brown-out' | 'pacing' | 'balancing';
  readonly title: string;
  readonly table: string;
  readonly svg: string;
}

const MINUTE = 60_000;

export async function playAllBrownOuts(): Promise<ReadonlyMap<string, BrownOutRun>> {
  const runs = new Map<string, BrownOutRun>();
  for (const [name, policies] of Object.entries(CONTESTANTS)) runs.set(name, await playBrownOut(policies));
  return runs;
}

export function reportBrownOut(runs: ReadonlyMap<string, BrownOutRun>): Report {
  const header = [
    '',
    'before',
    'brown-out',
    'after',
    'attempts per call in the brown-out',
    'work for nobody',
  ];
  const rows = [...runs].map(([name, run]) => [
    name,
    ...[percent(goodput(run, 'before')), percent(goodput(run, 'brown-out')), percent(goodput(run, 'after'))],
    attemptsPerCall(run, 'brown-out').toFixed(2),
    percent(run.wastedRatio),
  ]);
  const { beginsMs, endsMs, lastsMs } = BROWN_OUT;
  const lines = [...runs].map(([name, { ledger }]): Line => ({
    name,
    values: ledger.perSecond('answered', lastsMs),
  }));
  const svg = svgOf({
    title: 'A provider at a quarter of its capacity: answers in time',
    yTitle: 'answers per second',
    stepMinutes: SLICE_MS / MINUTE,
    lines: [{ name: 'possible', values: possible(lastsMs / SLICE_MS), dashed: true }, ...lines],
    shaded: { from: beginsMs / MINUTE, to: endsMs / MINUTE, name: 'brown-out' },
  });
  return { name: 'brown-out', title: 'Brown-out', table: markdownTable(header, rows), svg };
}

/** Answers per second that the provider could give to calls that come evenly. */
function possible(slices: number): number[] {
  const { beginsMs, endsMs, workersLeft, meanWorkMs, callsPerSecond } = BROWN_OUT;
  return Array.from({ length: slices }, (_, slice) => {
    const at = slice * SLICE_MS;
    return at >= beginsMs && at < endsMs ? (workersLeft * 1_000) / meanWorkMs : callsPerSecond;
  });
}

export interface PacingPair {
  readonly alone: PacingRun;
  readonly paced: PacingRun;
}

export async function playAllPacing(): Promise<ReadonlyMap<string, PacingPair>> {
  const pairs = new Map<string, PacingPair>();
  for (const [name, provider] of Object.entries(pacing.PROVIDERS)) {
    const alone = await pacing.playPacing(pacing.RETRY_ALONE, provider());
    pairs.set(name, { alone, paced: await pacing.playPacing(pacing.PACED, provider()) });
  }
  return pairs;
}

export function reportPacing(pairs: ReadonlyMap<string, PacingPair>): Report {
  const header = ['provider', '429s, retries alone', '429s, paced', 'fewer', 'goodput', 'errors seen'];
  const rows = [...pairs].map(([name, { alone, paced }]) => [
    name,
    ...[String(alone.turnedAway), String(paced.turnedAway)],
    percent(1 - paced.turnedAway / alone.turnedAway),
    percent(paced.done / alone.done),
    `${alone.failed} → ${paced.failed}`,
  ]);
  const shown = 'a window of requests, told as Anthropic does';
  const { alone, paced } = pairs.get(shown) as PacingPair;
  const svg = svgOf({
    title: `Twelve agents on one key: ${shown}`,
    yTitle: '429s so far',
    stepMinutes: pacing.SLICE_MS / MINUTE,
    lines: [
      { name: 'retries alone', values: soFar(alone) },
      { name: 'paced', values: soFar(paced) },
    ],
  });
  return { name: 'pacing', title: 'Rate limits', table: markdownTable(header, rows), svg };
}

function soFar({ ledger }: PacingRun): number[] {
  let sum = 0;
  return ledger
    .perSecond('turnedAway', pacing.LASTS_MS)
    .map((rate) => Math.round((sum += (rate * pacing.SLICE_MS) / 1_000)));
}
