/** How an exchange went, once both of its ends are closed. */
import type { Exchange } from './exchange.ts';
import type { Outcome } from './outcome.ts';
import type { Reason } from './reasons.ts';

export interface ExchangeEnding {
  readonly exchange: Exchange;
  readonly outcome: Outcome;
  /** Status that went out to the client, whatever the reason; 499 when it left before one did. */
  readonly status: number;
  /** Why it did not go well; undefined when the upstream's answer was delivered whole. */
  readonly reason: Reason | undefined;
  readonly result: 'ok' | 'error' | 'aborted';
  readonly durationMs: number;
  /** Body bytes received from the upstream. */
  readonly bytes: number;
  /** The body was too large to be kept, so that nothing could be retried once it was sent. */
  readonly replaySkipped: boolean;
}
