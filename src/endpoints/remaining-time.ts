/** Tells an upstream how much of the deadline is left, so that it can give up when nobody waits any more. */
import type { Clock } from '../core/clock.ts';
import type { Attempt } from '../core/exchange.ts';
import { withHeader } from '../core/header-list.ts';
import type { Outcome } from '../core/outcome.ts';

const FIELD = 'x-request-timeout-ms';

export function withRemainingTime(
  send: (attempt: Attempt) => Promise<Outcome>,
  clock: Clock,
): (attempt: Attempt) => Promise<Outcome> {
  return (attempt) => {
    const leftMs = attempt.exchange.deadlineAt - clock.now();
    if (Number.isFinite(leftMs))
      attempt.replaceHeaders(withHeader(attempt.headers, FIELD, String(Math.max(1, Math.floor(leftMs)))));
    return send(attempt);
  };
}
