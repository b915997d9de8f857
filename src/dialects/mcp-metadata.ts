/**
 * OAuth for MCP servers behind the sidecar: a refused client is told where the server describes its authorization
 * (RFC 9728), and expects the description to name the address that it asked.
 */
import type { Answer, Place, Rewriting } from '../core/dialect.ts';
import { headerValues, withoutHeaders } from '../core/header-list.ts';
import { asRecord } from './json-shapes.ts';
import { addressHere } from './rewrite-address.ts';

/** Documents at the root of an origin that describe what stands at a path of it (RFC 8414, RFC 9728). */
export const WELL_KNOWN = [
  'oauth-protected-resource',
  'oauth-authorization-server',
  'openid-configuration',
] as const;

/** The document that names the resource itself. */
export const RESOURCE_METADATA = 'resource-metadata';

const CHALLENGE = 'www-authenticate';
const RESOURCE = /^\/\.well-known\/oauth-protected-resource(\/|$|\?)/;

export const isResourceMetadata = (target: string): boolean => RESOURCE.test(target);

export function rewriteMetadata(answer: Answer, place: Place): Rewriting | undefined {
  if (answer.head.status === 401) return challenge(answer, place);
  if (answer.call.operation !== RESOURCE_METADATA || answer.head.status >= 300) return undefined;
  const body = asRecord(answer.json);
  const resource = body?.['resource'];
  if (typeof resource !== 'string') return undefined;
  const here = addressHere(resource, place);
  return here === undefined
    ? { kept: 'the resource is not below an endpoint' }
    : { json: { ...body, resource: here } };
}

function challenge({ head }: Answer, place: Place): Rewriting | undefined {
  const values = headerValues(head.headers, CHALLENGE);
  const rewritten = values.map((value) => withMetadataHere(value, place));
  if (rewritten.every((value, index) => value === values[index])) return undefined;
  const others = withoutHeaders(head.headers, new Set([CHALLENGE]));
  return { headers: [...others, ...rewritten.flatMap((value) => [CHALLENGE, value])] };
}

const withMetadataHere = (value: string, place: Place): string =>
  value.replace(/\bresource_metadata="([^"\\]*)"/gi, (whole, address: string) => {
    const here = metadataHere(address, place);
    return here === undefined ? whole : `resource_metadata="${here}"`;
  });

/** `origin/.well-known/X/base/rest` stands for the address `origin/base/rest`: that is what is looked up. */
function metadataHere(address: string, place: Place): string | undefined {
  const [, origin, name, rest = ''] =
    /^(https?:\/\/[^/]+)\/\.well-known\/([a-z-]+)(\/.*)?$/i.exec(address) ?? [];
  if (origin === undefined) return undefined;
  const resource = addressHere(origin + rest, place);
  const [, ours, path = ''] = /^(https?:\/\/[^/]+)(\/.*)?$/i.exec(resource ?? '') ?? [];
  return ours === undefined ? undefined : `${ours}/.well-known/${name}${path}`;
}
