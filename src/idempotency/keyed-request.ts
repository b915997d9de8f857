/** What makes a request with a key one's own: whose key it is, and what it was sent with. */
import { bodyDigest, digestOf } from '../algorithms/idempotency-key.ts';
import type { Exchange } from '../core/exchange.ts';
import { headerValues } from '../core/header-list.ts';

export interface KeyedRequest {
  /** The key itself, as it can be sent on. */
  readonly name: string;
  /** It is not the client's word but a digest of what it sent. */
  readonly derived: boolean;
  /** Digest of the key and of everything within which it is meant. */
  readonly key: string;
  /** Digest of the rest: the same key with another one is a mistake. */
  readonly fingerprint: string;
}

/**
 * A key counts for one agent, one credential, one session, one method and one path: nobody can read what another one was
 * answered. A call that is for one endpoint alone has nothing to do with those for others.
 * @param bytes the request's body; undefined where it is too large to be kept, and only its length counts
 * @param sent the client's key; undefined: it is derived from the body
 */
export function keyedRequest(
  exchange: Exchange,
  owner: string,
  { sent, bytes }: { readonly sent: string | undefined; readonly bytes: Uint8Array | null | undefined },
): KeyedRequest {
  const { method, target, headers } = exchange.request;
  const { credentialHeaders, dialect } = exchange.upstream;
  const { sessionHeader } = dialect;
  const telling = [...credentialHeaders, ...(sessionHeader === undefined ? [] : [sessionHeader])];
  const credentials = telling.flatMap((name) => [name, ...headerValues(headers, name)]);
  const content = bytes === undefined ? `length ${exchange.body.length}` : bodyDigest(bytes);
  const [path = ''] = target.split('?', 1);
  const derived = sent === undefined;
  const scope = digestOf(owner, exchange.agentId, method, path, ...pinOf(exchange), ...credentials);
  // Upstreams that get it may take all that comes from here for one client.
  const name = sent ?? digestOf(scope, target, content);
  return {
    name,
    derived,
    key: digestOf(scope, derived ? 'derived' : 'sent', name),
    fingerprint: digestOf(target, content),
  };
}

const pinOf = ({ pinnedTo }: Exchange): string[] => (pinnedTo === undefined ? [] : ['pinned to', pinnedTo]);
