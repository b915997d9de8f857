/** Endpoints nearby first, until they have enough to do. */
import type { ReachableEndpoint } from './reachable.ts';

export interface ZonePreference {
  /** The zone of this sidecar. */
  readonly here: string;
  /** Calls under way per unit of weight, on average over the zone, from which on the others are asked, too. */
  readonly maxActive: number;
}

/** @returns those here while they are not too busy; all where there are none, or they are */
export function nearby(
  endpoints: readonly ReachableEndpoint[],
  { here, maxActive }: ZonePreference,
): readonly ReachableEndpoint[] {
  const local = endpoints.filter(({ endpoint }) => endpoint.zone === here);
  if (local.length === 0) return endpoints;
  let [active, weight] = [0, 0];
  for (const one of local) {
    active += one.active;
    weight += one.weight;
  }
  return active < maxActive * weight ? local : endpoints;
}
