/** How an exchange went, once both of its ends are closed. */
import type { Exchange } from './exchange.ts';
import type { Outcome } from './outcome.ts';
import type { Reason } from './reasons.ts';

export interface ExchangeEnding {
  readonly exchange: Exchange;
  readonly outcome: Outcome;
  /** Status sent to the client; 499 when it left before one could be sent. */
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
