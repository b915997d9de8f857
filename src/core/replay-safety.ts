/** Whether a request may be made more than once, whatever became of the first: for retries and for spare attempts. */
import type { Exchange } from './exchange.ts';
import { headerValue } from './header-list.ts';

/** Methods that ask for nothing to be changed (RFC 9110 §9.2.1), and QUERY. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY']);

/** Methods whose repetition has no further effect (RFC 9110 §9.2.2) although the first has one. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['PUT', 'DELETE']);

/** By its method, its key, the operator's word or what its protocol says: another one after it does no harm. */
export function mayRepeat(exchange: Exchange): boolean {
  const { method } = exchange.request;
  if (SAFE.has(method) || IDEMPOTENT.has(method) || exchange.upstream.idempotent === true) return true;
  if (isKeyed(exchange)) return true;
  const { repeat } = exchange.call;
  return repeat === 'safe' || (repeat === 'compute' && exchange.upstream.idempotent === 'compute');
}

/**
 * The same for another one beside it, which is more: the slower of two may take effect after the faster was answered and
 * its client went on, so that PUT and DELETE need a key or the operator's word; and two are paid for where they cost, so
 * that computations need that word, key or not.
 */
export function mayRunTwice(exchange: Exchange): boolean {
  const { idempotent } = exchange.upstream;
  if (idempotent === true) return true;
  const { repeat } = exchange.call;
  if (repeat === 'compute') return idempotent === 'compute';
  return SAFE.has(exchange.request.method) || repeat === 'safe' || isKeyed(exchange);
}

/** The client gave it a name by which the upstream knows it again. */
const isKeyed = ({ request }: Exchange): boolean =>
  Boolean(headerValue(request.headers, 'idempotency-key')?.trim());
