/** The outcome of a call that nobody waits for any more. */
import type { Cancellation } from './cancellation.ts';
import type { FailureOutcome } from './outcome.ts';
import { reasonOfCancel } from './reasons.ts';
import { verdictOf } from './verdict.ts';

/**
 * @param requestSent whether an upstream may have begun to do what was asked
 * @param detail what it was doing when it was given up
 */
export function abandoned(
  { reason = 'client-aborted' }: Cancellation,
  requestSent: FailureOutcome['requestSent'],
  detail: string,
): FailureOutcome {
  return {
    kind: 'failure',
    reason: reasonOfCancel(reason),
    requestSent,
    staleConnection: false,
    verdict: verdictOf('abandoned'),
    detail,
  };
}

/** The same while it waited its turn: earlier tries of it, at this upstream or another, may have done something. */
export const abandonedInLine = (
  { attempts }: { readonly attempts: readonly unknown[] },
  cancellation: Cancellation,
  detail: string,
): FailureOutcome => abandoned(cancellation, attempts.length === 0 ? 'no' : 'maybe', detail);
