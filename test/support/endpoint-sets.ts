/** Endpoint sets for tests: addresses, and one way to all of them. */
import { RoundRobin } from '../../src/balancing/round-robin.ts';
import type { Balancer } from '../../src/core/balancer.ts';
import type { Attempt } from '../../src/core/exchange.ts';
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import type { Next } from '../../src/core/policy.ts';
import { FixedSource } from '../../src/discovery/fixed.ts';
import { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import type { EndpointSetDeps, EndpointSetOptions } from '../../src/endpoints/endpoint-set.ts';
import { Roster } from '../../src/endpoints/roster.ts';
import type { FakeClock } from './fake-clock.ts';

const NO_CONNECTIONS = { connected: 0, free: 0, running: 0 };

export interface EndpointSetParts {
  readonly balancer?: Balancer;
  readonly roster?: Roster;
  readonly options?: EndpointSetOptions;
  readonly affinity?: EndpointSetDeps['affinity'];
  readonly subsets?: EndpointSetDeps['subsets'];
}

export const rosterOf = (clock: FakeClock): Roster =>
  new Roster({ clock, emit: () => undefined, upstream: 'main' });

export function endpointSetOf(
  endpoints: readonly (string | EndpointDescription)[],
  send: Next<Attempt>,
  clock: FakeClock,
  {
    balancer = new RoundRobin(),
    roster = rosterOf(clock),
    options,
    affinity,
    subsets,
  }: EndpointSetParts = {},
): EndpointSet {
  const source = new FixedSource(endpoints.map((one) => (typeof one === 'string' ? { url: one } : one)));
  return new EndpointSet(
    {
      source,
      roster,
      balancer,
      affinity,
      subsets,
      now: () => clock.now(),
      reach: () => ({ send, connections: () => NO_CONNECTIONS }),
    },
    options,
  );
}
