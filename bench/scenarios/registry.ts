/**
 * What an embedded registry costs the calls beside it, how soon it finds out who is silent, and how soon a restart knows
 * everybody again: `node bench/scenarios/registry.ts [turns]`, under three minutes. See README.md in the folder above.
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { machineFacts, pinMachine, requireLinux } from '../lab/machine.ts';
import { freePort } from '../lab/probe.ts';
import { startMeter } from '../lab/proc.ts';
import { killAll, killAllAtExit } from '../lab/processes.ts';
import { Garage, type RunningProxy } from '../lab/proxy.ts';
import type { Fleet } from '../load/fleet.ts';
import { countFailures } from '../load/jobs.ts';
import { Load } from '../load/load.ts';
import { parseOptions } from '../options.ts';
import { outriggerPeer } from '../peers/outrigger.ts';
import type { Peer } from '../peers/peer.ts';
import { machineSection, percent, spread, table } from '../report.ts';
import { pairedRatio, percentile, summarise, type TurnValue } from '../statistics.ts';
import { jsonScenario } from './json.ts';
import {
  BEAT_MS,
  fleetOf,
  measureExpiry,
  measureRestarts,
  SWEEP_MS,
  type Stand,
} from './registry-endings.ts';
import type { Bench, Sample, Stage } from './scenario.ts';
import { targetOf } from './target.ts';

const SIZE = 1_000;
const SERVICE = 'fleet';
/** The registry's default; nobody's lease runs out in the turns without heartbeats. */
const TTL_MS = 30_000;
/** Every instance beats once in it. */
const MEASURE_MS = BEAT_MS;
const WARM_MS = 5_000;
const DEFAULT_TURNS = 12;
const FIGURES = [
  ['perSecond', 'requests/s', 0],
  ['p50Ms', 'p50 ms', 2],
  ['p99Ms', 'p99 ms', 2],
  ['cpuUs', 'CPU µs/request, heartbeats included', 1],
] as const;

async function withRegistry(bench: Bench, stage: Stage): Promise<Stand> {
  const registryPort = await freePort();
  const directory = bench.garage.newDirectory('state');
  const base = outriggerPeer(bench.options.entry);
  const sections = `
registry: { listen: '127.0.0.1:${registryPort}', sweepInterval: ${SWEEP_MS}ms }
state: { dir: '${directory}' }
`;
  const prepare: Peer['prepare'] = (site) => {
    const launch = base.prepare(site);
    appendFileSync(join(site.directory, 'outrigger.yaml'), sections);
    return launch;
  };
  return { ...bench, stage, registryPort, peer: { ...base, prepare } };
}

/** Calls with and without heartbeats in turns; who is first changes each time. */
async function measureCalls(
  { stage }: Stand,
  fleet: Fleet,
  proxy: RunningProxy,
  turns: number,
): Promise<void> {
  await stage.warm?.(proxy, WARM_MS);
  const samples: Record<'with' | 'without', Sample[]> = { with: [], without: [] };
  fleet.reset();
  for (let turn = 0; turn < turns; turn++)
    for (const kind of turn % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const)) {
      if (kind === 'with') fleet.beat();
      else fleet.rest();
      samples[kind].push(await stage.sample(proxy));
    }
  fleet.beat();
  reportCalls(samples, fleet);
}

function reportCalls({ with: beating, without }: Record<'with' | 'without', Sample[]>, fleet: Fleet): void {
  const rows = FIGURES.map(([key, title, digits]) => {
    const of = (samples: readonly Sample[]): TurnValue[] =>
      samples.map(({ figures }, turn) => ({ turn, value: figures[key] ?? 0 }));
    const values = [without, beating].map((samples) =>
      spread(
        of(samples).map(({ value }) => value),
        digits,
      ),
    );
    const ratio = pairedRatio(of(beating), of(without));
    return [
      title,
      ...values,
      ratio ? `**${ratio.median.toFixed(2)}** (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})` : '–',
    ];
  });
  console.log(table([['figure', 'without', 'with', '×'], ...rows]));
  const all = [...beating, ...without];
  const noise = summarise(all.flatMap(({ foreignShare }) => foreignShare ?? []));
  const failed = all.reduce((sum, { failures }) => sum + countFailures(failures), 0);
  const { known, unknown, unanswered, skipped } = fleet.counts;
  console.log(`\n- turns: ${beating.length} of ${MEASURE_MS / 1_000} s each; failed calls: ${failed}`);
  if (noise)
    console.log(
      `- taken from the sidecar's core by others: ${percent(noise.median)}, at most ${percent(noise.max)}`,
    );
  console.log(
    `- heartbeats beside the calls: ${known} answered, p50 ${percentile(fleet.latencies, 50).toFixed(1)} ms, ` +
      `p99 ${percentile(fleet.latencies, 99).toFixed(1)} ms; unknown ${unknown}, unanswered ${unanswered}, skipped ${skipped}`,
  );
}

/** The sidecar has nothing else to do. */
async function measureHeartbeats(stand: Stand, fleet: Fleet, proxy: RunningProxy): Promise<void> {
  const { pids, core } = targetOf(proxy, stand.garage);
  fleet.reset();
  const stop = startMeter(pids, core);
  await delay(2 * BEAT_MS);
  const { cpuSeconds, wallSeconds } = stop();
  const { known } = fleet.counts;
  console.log(
    `- heartbeats alone: ${(known / wallSeconds).toFixed(0)}/s take ${percent(cpuSeconds / wallSeconds)} of a core, ` +
      `${((cpuSeconds * 1e6) / known).toFixed(0)} µs each; p50 ${percentile(fleet.latencies, 50).toFixed(1)} ms, p99 ${percentile(fleet.latencies, 99).toFixed(1)} ms\n`,
  );
}

async function main(turns: number): Promise<void> {
  requireLinux();
  killAllAtExit();
  const options = parseOptions([]);
  const pinning = pinMachine(options.pin);
  console.log(`${machineSection(machineFacts(pinning), [])}\n`);
  const load = await Load.start();
  const pace = { ...options.pace, measureMs: MEASURE_MS };
  const endsAt = Number.POSITIVE_INFINITY;
  const bench = { options: { ...options, pace }, garage: new Garage(pinning), load, endsAt };
  const stage = await jsonScenario.open(bench);
  const stand = await withRegistry(bench, stage);
  const proxy = await stand.garage.start(stand.peer, stage.upstreamPort);
  const fleet = fleetOf(stand, { service: SERVICE, size: SIZE, ttlMs: TTL_MS });
  await fleet.register();
  fleet.beat();
  await measureCalls(stand, fleet, proxy, turns);
  await measureHeartbeats(stand, fleet, proxy);
  await measureExpiry(stand);
  console.log('');
  await measureRestarts(stand, { fleet, size: SIZE, proxy });
  await stage.close();
  fleet.close();
  await load.stop();
}

try {
  await main(Number(process.argv[2] ?? DEFAULT_TURNS));
} catch (error) {
  console.error(`bench failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  killAll();
}
