/** From configured URLs to endpoints. This is the only place where a URL is parsed, and it is the operator's own. */
import type { Endpoint } from '../core/endpoint.ts';

/** The endpoints of one upstream, in the order of the configuration. */
export function endpointsOf(urls: readonly string[]): Endpoint[] {
  const seen = new Map<string, number>();
  return urls.map((text) => {
    const url = new URL(text);
    const times = (seen.get(url.origin) ?? 0) + 1;
    seen.set(url.origin, times);
    return {
      // Without the path, which may hold a secret; names are seen by everyone who reads metrics.
      name: times === 1 ? url.origin : `${url.origin}#${times}`,
      origin: url.origin,
      host: url.host,
      basePath: url.pathname.replace(/\/+$/, ''),
    };
  });
}
