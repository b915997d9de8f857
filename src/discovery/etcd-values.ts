/** Endpoints as they stand under keys in etcd: a URL, or JSON with what else is known. */
import type { z } from 'zod';
import type { EndpointDescription } from '../core/endpoint.ts';
import { endpointUrl, foundEndpointSchema } from '../schema/endpoint.ts';

export type ReadValue =
  | { readonly ok: true; readonly endpoint: EndpointDescription }
  | { readonly ok: false; readonly message: string };

/**
 * @param instance the id of what says nothing of its own: what its key has behind the prefix
 * @returns why it is none, without what stands there: it may hold a secret
 */
export function endpointIn(text: string, instance: string): ReadValue {
  const trimmed = text.trim();
  if (!trimmed.startsWith('{')) {
    const url = endpointUrl.safeParse(trimmed);
    return url.success ? { ok: true, endpoint: named({ url: url.data }, instance) } : refused(url.error);
  }
  let value: unknown;
  try {
    value = JSON.parse(trimmed);
  } catch {
    return { ok: false, message: 'expected a URL, or JSON with a url: it is no JSON' };
  }
  const found = foundEndpointSchema.safeParse(value);
  return found.success ? { ok: true, endpoint: named(found.data, instance) } : refused(found.error);
}

const named = (endpoint: EndpointDescription, instance: string): EndpointDescription => ({
  ...endpoint,
  ...(endpoint.instance === undefined && instance !== '' && { instance: instance.slice(0, MAX_INSTANCE) }),
});

const MAX_INSTANCE = 200;

function refused({ issues: [issue] }: z.ZodError): ReadValue {
  const where = issue && issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '';
  return { ok: false, message: `${where}${issue?.message ?? 'expected a URL, or JSON with a url'}` };
}
