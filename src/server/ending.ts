/** Brings together the two ends of an exchange, the upstream's and the client's, and tells of it once. */
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { ExchangeEnding } from '../core/exchange-ending.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Completion, Outcome } from '../core/outcome.ts';
import type { Reason } from '../core/reasons.ts';

declare module '../core/events.ts' {
  interface EventMap {
    'exchange-started': { readonly exchange: Exchange };
    /** The answer has been delivered, or cannot be. Emitted once for every request that had a route. */
    'exchange-ended': ExchangeEnding;
  }
}

const CLIENT_CLOSED_STATUS = 499;

export class Ending {
  readonly #exchange: Exchange;
  readonly #clock: Clock;
  readonly #emit: Emit;
  #outcome: Outcome | undefined;
  #completion: Completion | undefined;
  /** Whether the client got all that we had for it; undefined while its connection is open. */
  #delivered: boolean | undefined;
  /** Undefined where it left before it was sent one. */
  #sentStatus: number | undefined;
  #replaySkipped = false;
  #told = false;

  constructor(exchange: Exchange, clock: Clock, emit: Emit) {
    this.#exchange = exchange;
    this.#clock = clock;
    this.#emit = emit;
  }

  outcome(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#replaySkipped = !this.#exchange.body.replayable;
    if (outcome.kind === 'response') {
      outcome.body.onEnd((completion) => {
        this.#completion = completion;
        this.#tellWhenOver();
      });
    } else this.#tellWhenOver();
  }

  /** @param sentStatus of the answer that was begun; undefined where none was */
  clientClosed(delivered: boolean, sentStatus: number | undefined): void {
    this.#delivered = delivered;
    this.#sentStatus = sentStatus;
    this.#tellWhenOver();
  }

  #tellWhenOver(): void {
    const outcome = this.#outcome;
    if (this.#told || this.#delivered === undefined || !outcome) return;
    if (outcome.kind === 'response' && !this.#completion) return;
    this.#told = true;
    const reason = this.#reason(outcome, this.#delivered);
    const status = this.#status(outcome);
    this.#emit('exchange-ended', {
      exchange: this.#exchange,
      outcome,
      status,
      reason,
      result: resultOf(status, reason),
      durationMs: this.#clock.now() - this.#exchange.startedAt,
      bytes: this.#completion?.bytes ?? 0,
      replaySkipped: this.#replaySkipped,
    });
  }

  #reason(outcome: Outcome, delivered: boolean): Reason | undefined {
    const broken =
      this.#completion && this.#completion.end !== 'complete' ? this.#completion.reason : undefined;
    if (broken) return broken;
    const tunnelled = outcome.kind === 'response' && outcome.tunnel !== undefined;
    if (!delivered && !tunnelled) return 'client_aborted';
    return outcome.kind === 'response' ? undefined : outcome.reason;
  }

  /** What went out, and not what it should have been: a protocol may tell an error in an answer of its own. */
  #status(outcome: Outcome): number {
    if (outcome.kind === 'response' && outcome.tunnel) return outcome.head.status;
    return this.#sentStatus ?? CLIENT_CLOSED_STATUS;
  }
}

function resultOf(status: number, reason: Reason | undefined): ExchangeEnding['result'] {
  if (reason === 'client_aborted') return 'aborted';
  return reason !== undefined || status >= 400 ? 'error' : 'ok';
}
