/** Who may be given a call now: the best group that has anybody, and everybody rather than nobody. */
import type { ReachableEndpoint } from './reachable.ts';

export interface EligibleOptions {
  /**
   * Share of a group's endpoints that must be available, 0–1; with fewer, all of them are used: most of what is called
   * failing is more likely a mistake of the checks, and the few that are left would be overrun. 0: only when none is left.
   */
  readonly panicThreshold: number;
}

export interface Eligible {
  readonly endpoints: readonly ReachableEndpoint[];
  /** Endpoints are used that are not thought to be well. */
  readonly panicking: boolean;
}

const NOBODY: Eligible = { endpoints: [], panicking: false };

/** @param all in the order of the configuration */
export function eligible(all: readonly ReachableEndpoint[], { panicThreshold }: EligibleOptions): Eligible {
  const allowed = all.filter(({ member }) => member.accepting);
  if (allowed.length === 0) return NOBODY;
  const groups = byPriority(allowed.some(weighs) ? allowed.filter(weighs) : allowed);
  for (const group of groups) {
    const available = group.filter(({ member }) => member.state === 'available');
    if (available.length > 0 && available.length >= group.length * panicThreshold)
      return { endpoints: available, panicking: false };
  }
  for (const group of groups) {
    const usable = group.filter(({ member }) => member.state === 'available' || member.state === 'degraded');
    if (usable.length > 0 && usable.length >= group.length * panicThreshold)
      return { endpoints: usable, panicking: false };
  }
  return { endpoints: groups[0] ?? allowed, panicking: true };
}

const weighs = ({ endpoint }: ReachableEndpoint): boolean => endpoint.weight > 0;

/** Best first. */
function byPriority(endpoints: readonly ReachableEndpoint[]): ReachableEndpoint[][] {
  const groups = new Map<number, ReachableEndpoint[]>();
  for (const one of endpoints) {
    const group = groups.get(one.endpoint.priority);
    if (group) group.push(one);
    else groups.set(one.endpoint.priority, [one]);
  }
  return [...groups].sort(([a], [b]) => a - b).map(([, group]) => group);
}
