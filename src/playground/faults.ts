/** Which fault a request meets: drawn from the configured shares, or asked for by a header. */
import type { Random } from '../core/random.ts';
import type { PlaygroundFaults } from './schema.ts';

/** In the order in which the shares are laid out between 0 and 1; changing it changes every seeded sequence. */
export const FAULT_KINDS = ['error', 'throttle', 'reset', 'stall', 'cut', 'slow'] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];
export type Fault = FaultKind | 'none';

/** Overrides the draw for one request, for tests and demonstrations. */
export const FAULT_HEADER = 'x-playground-fault';

/**
 * The luck of one request, each part uniform in [0, 1). Every request draws the same number of times, so that with a
 * seed its luck depends on its place in the sequence and on nothing else.
 */
export interface Luck {
  readonly fault: number;
  readonly status: number;
  readonly latency: number;
}

export function drawLuck(random: Random): Luck {
  return { fault: random.next(), status: random.next(), latency: random.next() };
}

/** The fault that `luck` selects; `none` for the share that the ratios leave over. */
export function faultOf(faults: PlaygroundFaults, luck: Luck): Fault {
  let reached = 0;
  for (const kind of FAULT_KINDS) {
    reached += faults[`${kind}Ratio`];
    if (luck.fault < reached) return kind;
  }
  return 'none';
}

/** The fault that a header asks for; undefined where there is none of that name. */
export function faultNamed(name: string): Fault | undefined {
  if (name === 'none') return 'none';
  return FAULT_KINDS.find((kind) => kind === name);
}

/** The status of an `error` fault. */
export function errorStatusOf(faults: PlaygroundFaults, luck: Luck): number {
  const { errorStatuses } = faults;
  return errorStatuses[Math.floor(luck.status * errorStatuses.length)] ?? 500;
}

/** Milliseconds ≥ 0 before an answer begins, the delay of a `slow` fault included. */
export function latencyOf(faults: PlaygroundFaults, luck: Luck, fault: Fault): number {
  const { min, max } = faults.latency;
  return min + luck.latency * (max - min) + (fault === 'slow' ? faults.slowBy : 0);
}
