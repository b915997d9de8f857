/** Who may be given a call now: the best group that has anybody, and everybody rather than nobody. */
import type { EndpointState } from '../core/endpoint.ts';
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
  /** Ejected ones that may get single calls to find out how they are. */
  readonly ejected: readonly ReachableEndpoint[];
}

/** Whom to look for, best first. Of one that has not been checked yet nothing bad is known: to use it is no panic. */
const NOT_ILL: readonly EndpointState[] = ['available', 'degraded', 'starting'];
const USABLE = [NOT_ILL.slice(0, 1), NOT_ILL.slice(0, 2), NOT_ILL];

const NOBODY: Eligible = { endpoints: [], panicking: false, ejected: [] };

/**
 * @param all in the order of the configuration
 * @param without name of one that is looked upon as ejected
 */
export function eligible(
  all: readonly ReachableEndpoint[],
  { panicThreshold }: EligibleOptions,
  without?: string,
): Eligible {
  const stateOf = ({ name, member }: ReachableEndpoint): EndpointState =>
    name === without ? 'ejected' : member.state;
  const allowed = all.filter(({ member }) => member.accepting);
  if (allowed.length === 0) return NOBODY;
  const groups = byPriority(allowed.some(weighs) ? allowed.filter(weighs) : allowed);
  for (const states of USABLE) {
    for (const [index, group] of groups.entries()) {
      const usable = group.filter((one) => states.includes(stateOf(one)));
      if (usable.length === 0 || usable.length < group.length * panicThreshold) continue;
      // Those that would be asked after them can wait.
      const ejected = groups
        .slice(0, index + 1)
        .flat()
        .filter(isEjected);
      return { endpoints: usable, panicking: false, ejected };
    }
  }
  const hopeful = groups.find((group) => group.some((one) => NOT_ILL.includes(stateOf(one))));
  const endpoints = hopeful ?? groups[0] ?? allowed;
  return { endpoints, panicking: true, ejected: groups.flat().filter(isEjected) };
}

const isEjected = ({ member }: ReachableEndpoint): boolean => member.state === 'ejected';

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
