/** Who works beside the calls of an upstream, and why. */
import type { UpstreamConfig } from '../config/schema.ts';
import type { Attendant } from '../core/attendant.ts';
import type { EndpointSet } from '../endpoints/endpoint-set.ts';
import { healthChecks } from './health-checks.ts';
import type { HealthCheckDeps } from './health-checks.ts';

export function attendantsOf(
  config: UpstreamConfig,
  endpoints: EndpointSet,
  deps: HealthCheckDeps,
): Attendant[] {
  return [
    forgetting(config, endpoints), // first: what the others find out is about those that are on the list
    ...healthChecks(config, endpoints, deps), // asks each endpoint how it is
  ];
}

/** What the configuration before had on its list, and this one has not, is gone; none stays ejected where none is any more. */
const forgetting = ({ policies }: UpstreamConfig, endpoints: EndpointSet): Attendant => ({
  start: () => endpoints.takeOver({ ejecting: policies['outlierDetection'] !== false }),
  stop: () => undefined,
});
