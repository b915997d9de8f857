/** An upstream in virtual time whose answers queue behind so many workers: what a concurrency limit is tried on. */
import type { ConcurrencyLimit } from '../../src/algorithms/concurrency-limit.ts';
import type { Random } from '../../src/core/random.ts';
import { seededRandom } from '../../src/core/random.ts';

export interface World {
  /** Calls that the upstream works on at a time; the others queue there. */
  workers: number;
  /** What a call takes there, in milliseconds. */
  workMs: (random: Random) => number;
  /** Calls that want to be under way at a time. */
  demand: number;
}

export interface Tick {
  readonly limit: number;
  readonly active: number;
  readonly latencyMs: number;
}

interface Call {
  readonly startedAt: number;
  readonly workMs: number;
  /** When its worker is done; undefined while it queues. */
  doneAt: number | undefined;
}

/** Plays `calls` answers. @param change may change the world before each of them */
export function play(
  limit: ConcurrencyLimit,
  world: World,
  { calls, seed = 1, change }: { calls: number; seed?: number; change?: (n: number, world: World) => void },
): Tick[] {
  const random = seededRandom(seed);
  const under: Call[] = [];
  const ticks: Tick[] = [];
  let now = 0;
  for (let n = 0; n < calls; n++) {
    change?.(n, world);
    while (under.length < Math.min(limit.current, world.demand)) {
      under.push({ startedAt: now, workMs: world.workMs(random), doneAt: undefined });
      limit.used(under.length);
    }
    let working = under.filter(({ doneAt }) => doneAt !== undefined).length;
    for (const call of under) {
      if (call.doneAt !== undefined || working >= world.workers) continue;
      call.doneAt = now + call.workMs;
      working += 1;
    }
    const next = under.reduce((a, b) => ((b.doneAt ?? Infinity) < (a.doneAt ?? Infinity) ? b : a));
    under.splice(under.indexOf(next), 1);
    now = next.doneAt ?? now;
    const latencyMs = now - next.startedAt;
    ticks.push({ limit: limit.current, active: under.length + 1, latencyMs });
    limit.observe({ startedAt: next.startedAt, durationMs: latencyMs, end: 'ok' }, now);
  }
  return ticks;
}

/** Work that varies much: exponential, with the given mean. */
export const varied =
  (meanMs: number) =>
  (random: Random): number =>
    -Math.log(1 - random.next()) * meanMs;

export const averageLimit = (ticks: readonly Tick[]): number =>
  ticks.reduce((sum, { limit }) => sum + limit, 0) / ticks.length;
