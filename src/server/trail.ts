/** The attempts of an exchange in one line, for people who debug one request. */
import type { Attempt, Exchange } from '../core/exchange.ts';
import { reasonOfCancel } from '../core/reasons.ts';

const one = (attempt: Attempt): string => {
  const { reason: cancelled } = attempt.cancellation;
  const result = attempt.status ?? attempt.reason ?? (cancelled ? reasonOfCancel(cancelled) : 'pending');
  const took = attempt.durationMs === undefined ? '' : ` ${Math.round(attempt.durationMs)}ms`;
  const waited = attempt.backoffMs > 0 ? ` after ${Math.round(attempt.backoffMs)}ms` : '';
  const spare = attempt.spare ? ' spare' : '';
  return `${attempt.number} ${attempt.endpoint.name} ${result}${took}${waited}${spare}`;
};

/** Printable ASCII: the names of endpoints may be anything that a URL may be. */
export const trailOf = (exchange: Exchange): string =>
  exchange.attempts
    .map(one)
    .join('; ')
    .replace(/[^\x20-\x7e]/g, '?');
