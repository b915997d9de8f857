/** Who works beside the calls of an upstream, and why. */
import type { UpstreamConfig } from '../config/schema.ts';
import type { Attendant } from '../core/attendant.ts';
import type { EndpointSet } from '../endpoints/endpoint-set.ts';

export function attendantsOf(_config: UpstreamConfig, endpoints: EndpointSet): Attendant[] {
  return [
    forgetting(endpoints), // first: what the others find out is about those that are on the list
  ];
}

/** What the configuration before had on its list, and this one has not, is gone. */
const forgetting = (endpoints: EndpointSet): Attendant => ({
  start: () => endpoints.takeOver(),
  stop: () => undefined,
});
