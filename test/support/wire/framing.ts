/** How a body is delimited, decided as RFC 9112 §6 does but refusing everything ambiguous. */
import type { Head } from './head.ts';
import { hasToken, headerValues, WireError, type HeaderPairs } from './headers.ts';

export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' };

export function requestFraming(head: Head): Framing {
  return declaredFraming(head) ?? { kind: 'none' };
}

/** @param method of the request that is answered: a HEAD answer has no body whatever it declares */
export function responseFraming(head: Head, status: number, method: string): Framing {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return { kind: 'none' };
  if (method === 'CONNECT' && status < 300) return { kind: 'none' };
  return declaredFraming(head) ?? { kind: 'close' };
}

function declaredFraming({ startLine, rawHeaders }: Head): Framing | undefined {
  const lengths = headerValues(rawHeaders, 'content-length');
  const codings = headerValues(rawHeaders, 'transfer-encoding');
  if (lengths.length > 0 && codings.length > 0)
    throw new WireError('both Content-Length and Transfer-Encoding');
  if (lengths.length > 1) throw new WireError('more than one Content-Length');
  if (codings.length > 1) throw new WireError('more than one Transfer-Encoding');
  if (codings[0] !== undefined) {
    if (/^HTTP\/1\.0 | HTTP\/1\.0$/.test(startLine)) throw new WireError('Transfer-Encoding under HTTP/1.0');
    if (codings[0].toLowerCase() !== 'chunked')
      throw new WireError(`unknown Transfer-Encoding: ${codings[0]}`);
    return { kind: 'chunked' };
  }
  if (lengths[0] === undefined) return undefined;
  if (!/^\d{1,15}$/.test(lengths[0])) throw new WireError(`not a Content-Length: ${lengths[0]}`);
  return { kind: 'length', bytes: Number(lengths[0]) };
}

/** Whether the sender of this head wants the connection to end after the message. */
export function asksToClose(version: string, headers: HeaderPairs): boolean {
  if (hasToken(headers, 'connection', 'close')) return true;
  return version === '1.0' && !hasToken(headers, 'connection', 'keep-alive');
}
