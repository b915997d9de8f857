/**
 * One exchange with the upstream for everyone who asks the same at the same time. It belongs to nobody: it goes on while
 * anybody is left who wants its answer, whoever began it.
 */
import { Cancellation } from '../core/cancellation.ts';
import type { CancelReason } from '../core/cancellation.ts';
import type { Exchange } from '../core/exchange.ts';
import { discard, whenOver } from '../core/outcome.ts';
import type { ResponseBody } from '../core/outcome.ts';
import { isAnswerTo } from './landing.ts';
import type { Landing } from './landing.ts';

/** What a passenger gets: what came of it, with a body of its own where there is one to share. */
export interface Seat {
  readonly landing: Landing;
  readonly body?: ResponseBody;
}

interface Passenger {
  readonly exchange: Exchange;
  readonly cancellation: Cancellation;
  /** It is the one whose request was sent: an answer for one alone is for it. */
  readonly first: boolean;
}

interface Waiting extends Passenger {
  readonly settle: (seat: Seat | undefined) => void;
}

export class Flight {
  /** Cancelled when nobody is left. */
  readonly cancellation = new Cancellation();
  /** The exchange that is made. */
  readonly exchange: Exchange;
  readonly #waiting = new Set<Waiting>();
  readonly #maxJoiners: number;
  #aboard = 0;
  #landing: Landing | undefined;
  /** There is nothing left to be cancelled. */
  #isOver = false;
  /** What was asked for has changed meanwhile. */
  #isVoid = false;

  /** @param exchangeOf makes the exchange, which is cancelled with the flight */
  constructor(maxJoiners: number, exchangeOf: (cancellation: Cancellation) => Exchange) {
    this.#maxJoiners = maxJoiners;
    this.exchange = exchangeOf(this.cancellation);
  }

  /** Somebody else may come aboard. */
  get isOpen(): boolean {
    if (this.#isVoid || this.cancellation.cancelled || this.#aboard > this.#maxJoiners) return false;
    const landing = this.#landing;
    return !landing || (landing.kind === 'shared' && landing.body.recording() !== undefined);
  }

  /** Nobody comes aboard any more. */
  close(): void {
    this.#isVoid = true;
  }

  /** @returns undefined when the passenger left before there was anything, or there is nothing for it */
  board(passenger: Passenger): Promise<Seat | undefined> {
    this.#aboard += 1;
    // Whoever waits longest decides how long there is.
    if (!passenger.first)
      this.exchange.deadlineAt = Math.max(this.exchange.deadlineAt, passenger.exchange.deadlineAt);
    if (this.#landing) return Promise.resolve(this.#seatFor(passenger, this.#landing));
    return new Promise((resolve) => {
      const onCancel = (reason: CancelReason): void => {
        this.#waiting.delete(waiting);
        resolve(undefined);
        this.#leave(reason);
      };
      const settle = (seat: Seat | undefined): void => {
        passenger.cancellation.off(onCancel);
        resolve(seat);
      };
      const waiting: Waiting = { ...passenger, settle };
      this.#waiting.add(waiting);
      passenger.cancellation.onCancel(onCancel);
    });
  }

  land(landing: Landing): void {
    this.#landing = landing;
    if (landing.kind === 'shared') landing.outcome.body.onEnd(() => (this.#isOver = true));
    else this.#isOver = true;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    // Nobody is there to have it.
    if (landing.kind !== 'copy' && !waiting.some(({ first }) => first || landing.kind !== 'own'))
      discard(landing.outcome);
    for (const one of waiting) one.settle(this.#seatFor(one, landing));
    if (landing.kind === 'shared' && waiting.length > 0) landing.body.start();
  }

  #seatFor(passenger: Passenger, landing: Landing): Seat | undefined {
    const { cancellation, exchange, first } = passenger;
    // A refusal may be about the time that the first one had.
    if (landing.kind === 'none')
      return this.#seatOf(first || landing.outcome.kind === 'failure' ? { landing } : undefined);
    if (landing.kind === 'own') return first ? this.#alone(landing, cancellation) : this.#seatOf(undefined);
    const fits = first || isAnswerTo(landing.dependsOn, exchange);
    if (!fits || landing.kind === 'copy') return this.#seatOf(fits ? { landing } : undefined);
    const body = landing.body.join(cancellation);
    if (!body) return this.#seatOf(undefined);
    body.onEnd(() => this.#leave(cancellation.reason));
    return { landing, body };
  }

  /** Nothing binds the passenger to the flight any more. */
  #seatOf(seat: Seat | undefined): Seat | undefined {
    this.#leave(undefined);
    return seat;
  }

  /** The flight is the passenger's own from now on. */
  #alone(landing: Extract<Landing, { kind: 'own' }>, cancellation: Cancellation): Seat {
    const onCancel = (reason: CancelReason): void => this.cancellation.cancel(reason);
    cancellation.onCancel(onCancel);
    whenOver(landing.outcome, () => {
      cancellation.off(onCancel);
      this.#aboard -= 1;
    });
    return { landing };
  }

  #leave(reason: CancelReason | undefined): void {
    this.#aboard -= 1;
    if (this.#aboard === 0 && !this.#isOver) this.cancellation.cancel(reason ?? 'superseded');
  }
}
