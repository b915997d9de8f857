/** What an upstream and each of its endpoints have to do, as numbers: for operators, and for autoscalers. */
import type { EndpointState } from '../core/endpoint.ts';
import type { ReachableEndpoint } from '../endpoints/reachable.ts';
import type { ScalingView } from '../endpoints/scaling-watch.ts';
import type { LiveUpstream } from './upstream.ts';

export interface EndpointStatistics {
  readonly name: string;
  readonly state: EndpointState;
  /** Calls under way, bodies included. */
  readonly active: number;
  /** Calls since it is known. */
  readonly total: number;
  /** Over the last minute. */
  readonly callsPerSecond: number;
  readonly failuresPerSecond: number;
  /** To the head of good answers in the last minute, on average; null where there was none. */
  readonly meanLatencyMs: number | null;
  /** What the balancer reckons with. */
  readonly latencyMs: number;
  /** Open connections. */
  readonly connections: number;
}

export interface UpstreamStatistics {
  readonly name: string;
  readonly active: number;
  /** Calls that wait for a place in a bulkhead. */
  readonly waiting: number;
  readonly callsPerSecond: number;
  readonly failuresPerSecond: number;
  /** Calls under way that there is room for; null where nothing says so. */
  readonly capacity: number | null;
  /** Calls under way by capacity: 1 is full. Null where the capacity is not known. */
  readonly saturation: number | null;
  readonly endpoints: readonly EndpointStatistics[];
  readonly scaling?: ScalingView;
}

export function statisticsOf(upstream: LiveUpstream): UpstreamStatistics {
  const endpoints = upstream.endpoints.members.map(endpointStatistics);
  const active = sum(endpoints.map((one) => one.active));
  const capacity = capacityOf(upstream);
  return {
    name: upstream.name,
    active,
    waiting: upstream.waiting,
    callsPerSecond: rounded(sum(endpoints.map((one) => one.callsPerSecond))),
    failuresPerSecond: rounded(sum(endpoints.map((one) => one.failuresPerSecond))),
    capacity,
    saturation: capacity === null || capacity === 0 ? null : rounded(active / capacity),
    endpoints,
    ...(upstream.scaling && { scaling: upstream.scaling.view }),
  };
}

function endpointStatistics({ name, member, latencyMs, connections }: ReachableEndpoint): EndpointStatistics {
  const { state, active, total } = member;
  const { callsPerSecond, failuresPerSecond, meanLatencyMs } = member.rates();
  return {
    ...{ name, state, active, total },
    callsPerSecond: rounded(callsPerSecond),
    failuresPerSecond: rounded(failuresPerSecond),
    meanLatencyMs: meanLatencyMs === undefined ? null : rounded(meanLatencyMs),
    latencyMs: Math.round(latencyMs),
    connections: connections().connected,
  };
}

/** What the operator says that endpoints have room for, by those that are given calls; else the places of the bulkheads. */
function capacityOf(upstream: LiveUpstream): number | null {
  const { capacity } = upstream.settings;
  if (capacity !== undefined) {
    const { members } = upstream.endpoints;
    return capacity * members.filter(({ member }) => member.state === 'available').length;
  }
  const limits = upstream.bulkheads.map(({ limit }) => limit);
  return limits.length === 0 ? null : sum(limits);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

const rounded = (value: number): number => Math.round(value * 100) / 100;
