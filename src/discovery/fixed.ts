/** The list as it stands in the configuration. */
import type { EndpointDescription } from '../core/endpoint.ts';
import type { EndpointSource } from '../core/endpoint-source.ts';

export class FixedSource implements EndpointSource {
  readonly version = 0;
  readonly endpoints: readonly EndpointDescription[];

  constructor(endpoints: readonly EndpointDescription[]) {
    this.endpoints = endpoints;
  }
}
