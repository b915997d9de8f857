/** From URLs to endpoints. This is the only place where a URL of theirs is parsed. */
import type { Endpoint, EndpointDescription } from '../core/endpoint.ts';
import { EndpointNames } from './endpoint-names.ts';
import type { Unnamed } from './endpoint-names.ts';

/**
 * The endpoints of one upstream, in the order given.
 * @param names what those are called that were there before. Default: nobody was.
 */
export const endpointsOf = (
  descriptions: readonly EndpointDescription[],
  names = new EndpointNames(),
): Endpoint[] => names.nameAll(descriptions.map(read));

function read(description: EndpointDescription): Unnamed {
  const { weight = 1, priority = 0, zone, metadata = {}, instance } = description;
  const url = new URL(description.url);
  const serverName = description.hostName ?? url.hostname;
  return {
    origin: url.origin,
    host: url.port === '' ? serverName : `${serverName}:${url.port}`,
    serverName,
    basePath: url.pathname.replace(/\/+$/, ''),
    weight,
    priority,
    zone,
    metadata,
    instance,
  };
}
