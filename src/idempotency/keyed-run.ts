/**
 * One run of a call that has a key, and all who wait for it: the client that sent it first and its duplicates. It
 * belongs to none of them, so that it can go on when the first one leaves.
 */
import type { ByteBudget } from '../algorithms/byte-budget.ts';
import type { CancelReason, Cancellation } from '../core/cancellation.ts';
import type { TimerHandle } from '../core/clock.ts';
import type { Exchange } from '../core/exchange.ts';
import type { ClaimRequest, KeyClaim, KeyedResult } from '../core/idempotency-store.ts';
import { discard } from '../core/outcome.ts';
import type { Completion, FailureOutcome, Outcome, ResponseOutcome } from '../core/outcome.ts';
import { verdictOf } from '../core/verdict.ts';
import { SharedBody } from '../streams/shared-body.ts';
import { claimKey } from './claim-key.ts';
import type { ClaimDeps } from './claim-key.ts';
import { effectOf, finalEffect, isHarmlessToRepeat } from './effect.ts';
import type { Effect } from './effect.ts';
import type { RunResult } from './run-result.ts';
import { WaitingRoom } from './waiting-room.ts';

/** What became of a run. */
export type RunEnd = KeyedResult['kind'] | 'released';

export interface RunInit {
  /** Made on behalf of the first client. Its cancellation is the run's own. */
  readonly exchange: Exchange;
  readonly cancellation: Cancellation;
  /** Runs the call. Never rejects. */
  readonly execute: () => Promise<Outcome>;
  readonly claim: ClaimRequest;
  /** Longest wait of who sent it first while somebody else runs it, in milliseconds. */
  readonly maxWaitMs: number;
  /** Whether it can go on without its first client: its request is here as a whole. */
  readonly independent: boolean;
}

/** What all runs of a policy have in common. */
export interface RunHost extends ClaimDeps {
  /** Room for answers under way. */
  readonly recordings: ByteBudget;
  readonly maxEntryBytes: number;
  /** How long a run goes on when the last client has left; false: not at all. */
  readonly finishMs: number | false;
  /** Takes one of the places for runs that nobody waits for; false: there is none. */
  goOn(): boolean;
  /** Gives it back. */
  wanted(): void;
  /** The call has been sent on its way. */
  began(run: KeyedRun, claim: KeyClaim): void;
  /** Something below threw, which is a bug. */
  failed(error: Error): void;
  /** What became of it is in the store; whoever comes now asks there. `end` is undefined where nothing was run. */
  over(run: KeyedRun, end: RunEnd | undefined): void;
}

interface Answer {
  readonly outcome: ResponseOutcome;
  readonly body: SharedBody;
}

/** Of the lease: a renewal may get lost. */
const RENEWALS = 3;

export class KeyedRun {
  readonly exchange: Exchange;
  readonly key: string;
  readonly fingerprint: string;
  readonly #init: RunInit;
  readonly #host: RunHost;
  readonly #waiting: WaitingRoom;
  #claim: KeyClaim | undefined;
  #renewing: TimerHandle | undefined;
  #answer: Answer | undefined;
  /** Set while nobody waits for it and it goes on all the same. */
  #lastCall: TimerHandle | undefined;
  #over = false;

  constructor(init: RunInit, host: RunHost) {
    this.#init = init;
    this.#host = host;
    this.exchange = init.exchange;
    this.key = init.claim.key;
    this.fingerprint = init.claim.fingerprint;
    this.#waiting = new WaitingRoom(host.clock, (why) => this.#abandoned(why));
  }

  /** The call was sent on its way. */
  get begun(): boolean {
    return this.#claim !== undefined;
  }

  /** Claims the key, then runs the call. Whoever sent it first waits for it by then. */
  async start(): Promise<void> {
    const { claim: request, cancellation, maxWaitMs } = this.#init;
    const running = (): void => this.#waiting.boundFirst(maxWaitMs);
    const claim = await claimKey(request, this.#host, { cancellation, running });
    if (!('token' in claim)) {
      this.#over = true;
      this.#host.over(this, undefined);
      this.#waiting.tell(() => claim);
      return;
    }
    this.#claim = claim;
    this.#keepRenewing(claim);
    this.#waiting.keepFirst();
    this.#host.began(this, claim);
    try {
      await this.#run(claim);
    } catch (error) {
      // A bug below. Nobody else catches it: no request waits for this function.
      this.#host.failed(error as Error);
      this.#end(claim, { kind: 'unknown', why: FAILED.reason });
      this.#waiting.tell(() => ({ kind: 'ended', outcome: FAILED }));
    }
  }

  /**
   * Waits for what becomes of the run.
   * @param cancellation one leaves with it
   * @param maxWaitMs longest wait for its outcome; undefined for who sent it first, which has no such bound unless
   *   somebody else runs it
   */
  wait(cancellation: Cancellation, maxWaitMs?: number): Promise<RunResult> {
    if (this.#answer && !this.#givenUp) return Promise.resolve(this.#join(this.#answer, cancellation));
    this.#wantedAgain();
    return this.#waiting.wait(cancellation, maxWaitMs);
  }

  async #run(claim: KeyClaim): Promise<void> {
    const { exchange } = this;
    const attemptsBefore = exchange.attempts.length;
    const outcome = await this.#init.execute();
    const effect = effectOf(exchange, exchange.attempts.slice(attemptsBefore), outcome);
    if (outcome.kind === 'response' && !this.#givenUp) {
      this.#share(claim, { outcome, effect });
      return;
    }
    discard(outcome);
    const isResponse = outcome.kind === 'response';
    const nothing = effect === 'none' || (isResponse && isHarmlessToRepeat(exchange));
    const why = isResponse ? 'response_incomplete' : outcome.reason;
    this.#end(claim, nothing ? undefined : { kind: 'unknown', why });
    this.#waiting.tell(() => (this.#givenUp || isResponse ? { kind: 'again' } : { kind: 'ended', outcome }));
  }

  /** All who wait get it from its beginning, whatever its length; those who come later, while it is recorded. */
  #share(claim: KeyClaim, { outcome, effect }: { outcome: ResponseOutcome; effect: Effect }): void {
    const { clock, maxEntryBytes: maxBytes, recordings: memory } = this.#host;
    const body = new SharedBody(outcome.body, {
      clock,
      maxBytes,
      memory,
      onAbandoned: ({ reason }) =>
        this.#abandoned(reason === 'shutting_down' ? 'shutdown' : 'client-aborted'),
    });
    const answer = { outcome, body };
    this.#answer = answer;
    // What was turned away is not waited for to its end: who sends the key next may try at once.
    if (effect !== 'answered') this.#end(claim, effect === 'none' ? undefined : unknownAfter(outcome));
    this.#waiting.tell((cancellation) => this.#join(answer, cancellation));
    body.onEnd((completion) => {
      this.#end(claim, this.#resultOf(answer, completion));
      body.forget();
      this.#waiting.tell(() => ({ kind: 'again' }));
    });
    body.start();
  }

  #join({ outcome, body }: Answer, cancellation: Cancellation): RunResult {
    const own = body.join(cancellation);
    if (!own) return { kind: 'busy' };
    this.#wantedAgain();
    return { kind: 'response', outcome, body: own };
  }

  /** What is to be kept of an answer whose body has ended; undefined: nothing. */
  #resultOf({ outcome, body }: Answer, completion: Completion): KeyedResult | undefined {
    const effect = finalEffect(this.exchange, outcome, completion);
    if (effect === 'none') return undefined;
    if (effect === 'unknown') return { kind: 'unknown', why: completion.reason ?? 'response_incomplete' };
    const { head } = outcome;
    const recording = body.recording();
    if (!recording) return { kind: 'unkept', status: head.status };
    return { kind: 'answer', answer: { head, chunks: recording.chunks, trailers: recording.trailers } };
  }

  /** What became of it is written down, once. `result` is undefined where it had no effect. */
  #end(claim: KeyClaim, result: KeyedResult | undefined): void {
    if (this.#over) return;
    this.#over = true;
    const { clock, store } = this.#host;
    if (this.#renewing) clock.clearTimer(this.#renewing);
    this.#wantedAgain();
    if (result) store.complete(claim, result);
    else store.release(claim);
    this.#host.over(this, result?.kind ?? 'released');
  }

  #keepRenewing(claim: KeyClaim): void {
    const { clock, store } = this.#host;
    if (!store.leases) return;
    this.#renewing = clock.setBackgroundTimer(claim.leaseMs / RENEWALS, () => {
      store.renew(claim);
      this.#keepRenewing(claim);
    });
  }

  // --- when nobody waits

  get #givenUp(): boolean {
    return this.#init.cancellation.cancelled;
  }

  /** The last one has left: it goes on for a while, so that its outcome is known to whoever asks, or ends here. */
  #abandoned(why: CancelReason): void {
    if (this.#waiting.size > 0 || (this.#answer?.body.readers ?? 0) > 0) return;
    const forMs = this.#mayGoOn(why) ? this.#goesOnForMs() : 0;
    if (forMs <= 0 || !this.#host.goOn()) {
      this.#init.cancellation.cancel(why);
      return;
    }
    const giveUp = (): void => this.#init.cancellation.cancel('deadline');
    this.#lastCall = this.#host.clock.setBackgroundTimer(forMs, giveUp);
  }

  #mayGoOn(why: CancelReason): boolean {
    if (this.#over || !this.#claim || why === 'shutdown') return false;
    // Where a repetition does no harm, all that is at stake is what the answer costs.
    return this.#init.independent && !isHarmlessToRepeat(this.exchange);
  }

  /** The deadline holds for it as for any; a stream that has begun has none. */
  #goesOnForMs(): number {
    const { finishMs, clock } = this.#host;
    if (finishMs === false) return 0;
    const { deadlineAt, upstream, call } = this.exchange;
    const streams = this.#answer && upstream.dialect.isStream(this.#answer.outcome.head, call);
    return streams ? finishMs : Math.min(finishMs, deadlineAt - clock.now());
  }

  #wantedAgain(): void {
    if (!this.#lastCall) return;
    this.#host.clock.clearTimer(this.#lastCall);
    this.#lastCall = undefined;
    this.#host.wanted();
  }
}

const FAILED: FailureOutcome = {
  kind: 'failure',
  reason: 'internal_error',
  requestSent: 'maybe',
  staleConnection: false,
  verdict: verdictOf('permanent'),
  detail: '',
};

const unknownAfter = ({ head }: ResponseOutcome): KeyedResult => ({
  kind: 'unknown',
  why: `status ${head.status}`,
});
