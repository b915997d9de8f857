/** What a request gets that is not run for its key. No ladder is to go around it: that would be a second run. */
import type { FailureOutcome, RejectionOutcome } from '../core/outcome.ts';
import type { Reason } from '../core/reasons.ts';
import { verdictOf } from '../core/verdict.ts';

export type IdempotencyRefusal =
  /** It has no key and needs one. */
  | 'missing'
  | 'invalid'
  /** Its key belongs to another request. */
  | 'mismatch'
  /** The first is under way, and too many wait for it or it takes too long. */
  | 'busy'
  /** The first was answered; the answer was not kept. */
  | 'not-kept'
  /** Keys are shared, and those who share them cannot be asked. */
  | 'away'
  /** So many calls are under way that no more keys can be remembered. */
  | 'full';

const REASON: Readonly<Record<IdempotencyRefusal, Reason>> = {
  missing: 'idempotency_key_missing',
  invalid: 'idempotency_key_invalid',
  mismatch: 'idempotency_key_reused',
  busy: 'idempotency_in_progress',
  'not-kept': 'idempotency_not_kept',
  away: 'idempotency_unavailable',
  full: 'idempotency_unavailable',
};

/** Those that pass by themselves, and when to ask again. */
const RETRY_AFTER_MS: Readonly<Partial<Record<IdempotencyRefusal, number>>> = {
  busy: 1_000,
  away: 1_000,
  full: 1_000,
};

export function refusal(why: IdempotencyRefusal, detail?: string): RejectionOutcome {
  const retryAfterMs = RETRY_AFTER_MS[why];
  return {
    kind: 'rejection',
    reason: REASON[why],
    by: 'idempotency',
    verdict: verdictOf('permanent'),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(detail !== undefined && { detail }),
  };
}

/** Not a rejection, for it was tried. @param why as it is kept */
export const unknownOutcome = (why: string): FailureOutcome => ({
  kind: 'failure',
  reason: 'outcome_unknown',
  requestSent: 'maybe',
  staleConnection: false,
  verdict: verdictOf('permanent'),
  detail: why === 'lost' ? 'the sidecar that made it is gone' : `it ended with ${why}`,
});
