/** The endings an embedded registry has to do with: instances that fall silent, and its own. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningProxy } from '../lab/proxy.ts';
import { Fleet, type FleetOptions } from '../load/fleet.ts';
import type { Peer } from '../peers/peer.ts';
import { spread, table } from '../report.ts';
import type { Bench, Stage } from './scenario.ts';

export const BEAT_MS = 3_000;
export const SWEEP_MS = 5_000;
const SILENT = 20;
const SILENT_TTL_MS = 3_000;
/** How far apart the silent ones fall silent: over two sweeps, so that chance with the sweep evens out. */
const SILENT_APART_MS = (2 * SWEEP_MS) / SILENT;
const RESTARTS = 5;
const WAIT_MS = 20_000;

export interface Stand extends Bench {
  /** Where calls go, and how they are measured. */
  readonly stage: Stage;
  readonly registryPort: number;
  readonly peer: Peer;
}

export const fleetOf = (
  { registryPort }: Stand,
  options: Pick<FleetOptions, 'service' | 'size' | 'ttlMs'>,
): Fleet => new Fleet({ port: registryPort, beatMs: BEAT_MS, ...options });

async function instancesUp(port: number, service: string): Promise<number> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/services/${service}`);
    const { byStatus } = (await answer.json()) as { byStatus?: { up: number } };
    return byStatus?.up ?? 0;
  } catch {
    return 0;
  }
}

async function until(holds: () => Promise<boolean>, wanted: string): Promise<void> {
  const giveUpAt = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`${WAIT_MS} ms passed without ${wanted}`);
    await delay(5);
  }
}

/** Some say something once and never again; a watch tells when the registry notices. */
export async function measureExpiry(stand: Stand): Promise<void> {
  const noticed: number[] = [];
  const watching = new AbortController();
  const fleets = Array.from({ length: SILENT }, (_, at) =>
    fleetOf(stand, { service: `silent-${at}`, size: 1, ttlMs: SILENT_TTL_MS }),
  );
  const stream = await fetch(`http://127.0.0.1:${stand.registryPort}/v1/watch`, { signal: watching.signal });
  const reading = readExpiries(stream, (service) => {
    const heardAt = fleets[Number(service.slice('silent-'.length))]?.heardAt.get('i-0');
    if (heardAt !== undefined) noticed.push(performance.now() - heardAt);
  });
  for (const fleet of fleets) {
    await fleet.register();
    await delay(SILENT_APART_MS);
  }
  await until(async () => noticed.length === SILENT, 'all silent instances down');
  watching.abort();
  await reading;
  for (const fleet of fleets) fleet.close();
  console.log(
    table([
      ['silent instances', 'TTL', 'sweep', 'TTL + sweep', 'down after, median (min–max)'],
      [
        `${SILENT}`,
        `${SILENT_TTL_MS} ms`,
        `${SWEEP_MS} ms`,
        `${SILENT_TTL_MS + SWEEP_MS} ms`,
        `${spread(noticed, 0)} ms`,
      ],
    ]),
  );
}

async function readExpiries(stream: Response, expired: (service: string) => void): Promise<void> {
  let text = '';
  try {
    for await (const piece of stream.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const frames = (text + piece).split('\n\n');
      text = frames.pop() ?? '';
      for (const frame of frames) {
        const service = /^event: expired\ndata: \{"service":"([^"]+)"/m.exec(frame)?.[1];
        if (service !== undefined) expired(service);
      }
    }
  } catch {
    // Aborted: all has been seen.
  }
}

interface Restarting {
  readonly fleet: Fleet;
  readonly size: number;
  readonly proxy: RunningProxy;
}

export async function measureRestarts(
  stand: Stand,
  { fleet, size, proxy: first }: Restarting,
): Promise<void> {
  const times: Record<'stopped' | 'listed', number[]> = { stopped: [], listed: [] };
  fleet.reset();
  let proxy = first;
  for (let round = 0; round < RESTARTS; round++) {
    const [pid = 0] = proxy.pids;
    const toldAt = performance.now();
    process.kill(pid, 'SIGTERM');
    await until(async () => !isAlive(pid), 'an end of the sidecar');
    times.stopped.push(performance.now() - toldAt);
    const startedAt = performance.now();
    const starting = stand.garage.start(stand.peer, stand.stage.upstreamPort);
    await until(
      async () => (await instancesUp(stand.registryPort, 'fleet')) === size,
      'all instances listed',
    );
    times.listed.push(performance.now() - startedAt);
    proxy = await starting;
    await delay(BEAT_MS);
  }
  await proxy.stop();
  const both = times.stopped.map((ms, at) => ms + (times.listed[at] ?? 0));
  console.log(
    table([
      ['restarts', 'signal to exit', 'spawn to all listed', 'together'],
      [`${RESTARTS}`, ...[times.stopped, times.listed, both].map((ms) => `${spread(ms, 0)} ms`)],
    ]),
  );
  const { known, unknown, unanswered, skipped } = fleet.counts;
  console.log(
    `\n- heartbeats meanwhile: ${known} answered, ${unanswered} while it was away, ${skipped} skipped; told to register anew: ${unknown}`,
  );
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
