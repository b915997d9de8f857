/** What the failure of an attempt says of the endpoint that it was made at. */
import type { Attempt } from '../core/exchange.ts';
import type { FailureOutcome } from '../core/outcome.ts';
import type { Reason } from '../core/reasons.ts';
import type { Finding } from './ejection.ts';

/** How a call ended for its endpoint; `unreached`: nobody was there. */
export type Ending = Finding | 'unreached';

/** The endpoint could not be reached: there was no connection, or none that could be trusted. */
const UNREACHED: ReadonlySet<Reason> = new Set<Reason>([
  'connection_refused',
  'connection_timeout',
  'host_unreachable',
  'dns_error',
  'tls_certificate_error',
  'tls_protocol_error',
]);

/** For want of files or ports here. */
const OUR_OWN: ReadonlySet<Reason> = new Set<Reason>(['connection_limit']);

/** @param succeededAt when another call to the endpoint last succeeded */
export function endingOf(failure: FailureOutcome, attempt: Attempt, succeededAt: number): Ending {
  const { reason, head, staleConnection, requestSent } = failure;
  const { result } = attempt.judge(failure);
  if (staleConnection || OUR_OWN.has(reason)) return 'nothing';
  if (result !== 'failure') return head ? 'answered' : 'nothing';
  if (UNREACHED.has(reason)) return 'unreached';
  if (reason !== 'connection_reset' || head) return 'failure';
  // Where another call has succeeded since this one began, somebody is there: what was sent may have been at fault.
  return requestSent === 'maybe' && succeededAt > attempt.startedAt ? 'failure' : 'unreached';
}
