/** What the sidecar adds to a request on its way. Comes after the client's hop-by-hop fields are gone, so that no Connection field can take it away. */
import type { IncomingMessage } from 'node:http';
import { hasHeader, withoutHeaders } from '../core/header-list.ts';
import type { RequestFacts } from './request-facts.ts';

const TRACE: ReadonlySet<string> = new Set(['traceparent', 'tracestate']);

export interface Additions {
  readonly pseudonym: string;
  /** Set when a new trace begins here; the client's malformed one is dropped then, and its state with it. */
  readonly traceparent: string | undefined;
}

export function forwardHeaders(req: IncomingMessage, facts: RequestFacts, additions: Additions): string[] {
  let headers = facts.headers;
  if (additions.traceparent !== undefined) {
    if (hasHeader(headers, 'traceparent') || hasHeader(headers, 'tracestate'))
      headers = withoutHeaders(headers, TRACE);
    headers.push('traceparent', additions.traceparent);
  }
  headers.push('via', `${req.httpVersion} ${additions.pseudonym}`);
  return headers;
}
