/** The Proxy-Status field (RFC 9209): says in a standard way which hop made an answer up, and why. */
import { REASONS } from '../core/reasons.ts';
import type { Reason } from '../core/reasons.ts';

/** A Structured Fields string (RFC 8941 §3.3.3): printable ASCII only. */
const sfString = (text: string): string =>
  `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;

export interface ProxyStatus {
  /** Name of this deployment. */
  readonly name: string;
  readonly reason: Reason;
  /** Endpoint that was asked last, where one was. */
  readonly nextHop?: string | undefined;
  /** Status that the endpoint answered, where it did. */
  readonly receivedStatus?: number | undefined;
  readonly details?: string | undefined;
}

export function proxyStatus(status: ProxyStatus): string {
  let field = `${status.name}; error=${REASONS[status.reason].proxyError}`;
  if (status.nextHop !== undefined) field += `; next-hop=${sfString(status.nextHop)}`;
  if (status.receivedStatus !== undefined) field += `; received-status=${status.receivedStatus}`;
  if (status.details) field += `; details=${sfString(status.details)}`;
  return field;
}
