/** A list of endpoints that changes when a test says so. */
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import type { EndpointSource } from '../../src/core/endpoint-source.ts';

export class ChangingSource implements EndpointSource {
  version = 0;
  endpoints: readonly EndpointDescription[] = [];

  /** @param endpoints a name stands for `http://name.test` */
  become(...endpoints: readonly (string | EndpointDescription)[]): void {
    this.endpoints = endpoints.map((one) => (typeof one === 'string' ? { url: `http://${one}.test` } : one));
    this.version += 1;
  }
}
