/** What a cache offers to a ladder. */
import type { Cancellation } from './cancellation.ts';
import type { ResponseOutcome } from './outcome.ts';

/** An answer that a cache has, past its time. */
export interface StaleAnswer {
  /** Milliseconds since it was fresh; below 0 where it still is. */
  staleForMs(): number;
  /** The answer, marked with its age; as often as it is wanted. */
  open(cancellation: Cancellation): ResponseOutcome;
}
