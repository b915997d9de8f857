/** What one gets who waits for a run. */
import type { KeyedResult } from '../core/idempotency-store.ts';
import type { FailureOutcome, RejectionOutcome, ResponseBody, ResponseOutcome } from '../core/outcome.ts';

export type RunResult =
  /** Its answer, with a body of one's own. */
  | { readonly kind: 'response'; readonly outcome: ResponseOutcome; readonly body: ResponseBody }
  /** It ended without one. */
  | { readonly kind: 'ended'; readonly outcome: FailureOutcome | RejectionOutcome }
  /** It need not be run: what became of it is known. */
  | { readonly kind: 'done'; readonly result: KeyedResult }
  /** The key belongs to another request. */
  | { readonly kind: 'mismatch' }
  /** It is under way, and cannot be waited for any longer, or not joined any more. */
  | { readonly kind: 'busy' }
  /** It was not begun: see `ClaimReply`. */
  | { readonly kind: 'away' }
  | { readonly kind: 'full' }
  /** One has left oneself. */
  | { readonly kind: 'left' }
  /** It was given up because nobody waited: ask for the key once more. */
  | { readonly kind: 'again' };
