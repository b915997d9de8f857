/** From URLs to endpoints. This is the only place where a URL of theirs is parsed. */
import type { Endpoint, EndpointDescription } from '../core/endpoint.ts';

/** The endpoints of one upstream, in the order given. */
export function endpointsOf(descriptions: readonly EndpointDescription[]): Endpoint[] {
  const seen = new Map<string, number>();
  return descriptions.map(({ url: text, weight = 1, priority = 0, zone, metadata = {}, instance }) => {
    const url = new URL(text);
    const times = (seen.get(url.origin) ?? 0) + 1;
    seen.set(url.origin, times);
    return {
      // Without the path, which may hold a secret; names are seen by everyone who reads metrics.
      name: times === 1 ? url.origin : `${url.origin}#${times}`,
      origin: url.origin,
      host: url.host,
      basePath: url.pathname.replace(/\/+$/, ''),
      weight,
      priority,
      zone,
      metadata,
      instance,
    };
  });
}
