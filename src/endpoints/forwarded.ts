/** Tells an upstream who the client is (RFC 7239, and the fields that came before it). For upstreams of one's own. */
import type { Attempt } from '../core/exchange.ts';
import { withoutHeaders } from '../core/header-list.ts';
import type { Outcome } from '../core/outcome.ts';

/** A client's own account of itself is not evidence: it is replaced, not extended. */
const FORWARDED: ReadonlySet<string> = new Set([
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-port',
]);

export function withForwarded(
  send: (attempt: Attempt) => Promise<Outcome>,
): (attempt: Attempt) => Promise<Outcome> {
  return (attempt) => {
    const { client, request } = attempt.exchange;
    const { address, secure } = client();
    const proto = secure ? 'https' : 'http';
    const node = address.includes(':') ? `"[${address}]"` : address;
    const headers = withoutHeaders(attempt.headers, FORWARDED);
    headers.push('x-forwarded-for', address, 'x-forwarded-host', request.host, 'x-forwarded-proto', proto);
    headers.push('forwarded', `for=${node};host="${request.host.replace(/["\\]/g, '')}";proto=${proto}`);
    attempt.replaceHeaders(headers);
    return send(attempt);
  };
}
