/** From a configured URL to an endpoint. This is the only place where a URL is parsed, and it is the operator's own. */
import type { Endpoint } from '../core/endpoint.ts';

export function endpointOf(text: string): Endpoint {
  const url = new URL(text);
  return {
    name: text.replace(/\/+$/, ''),
    origin: url.origin,
    host: url.host,
    basePath: url.pathname.replace(/\/+$/, ''),
  };
}
