/** What the sidecar adds to a request on its way. Comes after the client's hop-by-hop fields are gone, so that no Connection field can take it away. */
import type { IncomingMessage } from 'node:http';
import { hasHeader, withoutHeaders } from '../core/header-list.ts';
import type { RequestFacts } from './request-facts.ts';

/** A client's own account of itself is not evidence: it is replaced, not extended. */
const FORWARDED: ReadonlySet<string> = new Set([
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-port',
]);
const TRACE: ReadonlySet<string> = new Set(['traceparent', 'tracestate']);

export interface Additions {
  readonly pseudonym: string;
  /** Set when a new trace begins here; the client's malformed one is dropped then, and its state with it. */
  readonly traceparent: string | undefined;
  readonly forwarded: boolean;
}

export function forwardHeaders(req: IncomingMessage, facts: RequestFacts, additions: Additions): string[] {
  let headers = facts.headers;
  if (additions.traceparent !== undefined) {
    if (hasHeader(headers, 'traceparent') || hasHeader(headers, 'tracestate'))
      headers = withoutHeaders(headers, TRACE);
    headers.push('traceparent', additions.traceparent);
  }
  if (additions.forwarded) headers = withForwarded(req, withoutHeaders(headers, FORWARDED), facts.host);
  headers.push('via', `${req.httpVersion} ${additions.pseudonym}`);
  return headers;
}

function withForwarded(req: IncomingMessage, headers: string[], host: string): string[] {
  const address = req.socket.remoteAddress ?? 'unknown';
  const proto = 'encrypted' in req.socket ? 'https' : 'http';
  const node = address.includes(':') ? `"[${address}]"` : address;
  headers.push('x-forwarded-for', address, 'x-forwarded-host', host, 'x-forwarded-proto', proto);
  headers.push('forwarded', `for=${node};host="${host.replace(/["\\]/g, '')}";proto=${proto}`);
  return headers;
}
