/**
 * Where calls wait until their provider's rate limits leave room for them: by rank, then by age, and let go one after
 * the other, so that a reset does not become a stampede.
 */
import type { Cancellation } from '../core/cancellation.ts';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { KeyedRateLimits, Ticket } from './keyed-rate-limits.ts';
import { PriorityQueue } from './priority-queue.ts';
import type { Place } from './priority-queue.ts';
import type { Demand, Obstacle } from './rate-limits.ts';

export interface PacedLineOptions {
  /** Most calls that wait at a time; 0: nobody waits. */
  readonly maxQueue: number;
  /** Longest wait of a call, in milliseconds. */
  readonly maxWaitMs: number;
  /** After a reset those who wait go over so many milliseconds. */
  readonly spreadMs: number;
  /** Head start that one rank is worth, in milliseconds. A change counts for those who join from then on. */
  readonly msPerRank: number;
}

export interface PacedLineDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** A call has to wait, the first in a while. */
  readonly onHold: (obstacle: Obstacle | undefined) => void;
}

/** Why a call may not wait, or no longer. */
export type Refusal =
  /** As many as may wait do so. */
  | 'queue-full'
  /** There will be no room within the longest wait, or before the call's deadline. */
  | 'too-late'
  /** It has waited as long as it may. */
  | 'waited';

export type Admission =
  | { readonly kind: 'go'; readonly ticket: Ticket }
  | { readonly kind: 'refused'; readonly why: Refusal; readonly retryAfterMs: number | undefined }
  | { readonly kind: 'left' };

export interface Applicant {
  readonly demand: Demand;
  readonly rank: number;
  /** Monotonic instant after which it need not go any more. */
  readonly deadlineAt: number;
  readonly cancellation: Cancellation;
}

/** Time without anybody waiting after which the next wait is news. */
const QUIET_MS = 60_000;

interface Waiter {
  readonly demand: Demand;
  readonly go: (ticket: Ticket) => void;
}

export class PacedLine {
  readonly limits: KeyedRateLimits;
  readonly #deps: PacedLineDeps;
  #options: PacedLineOptions;
  readonly #queue: PriorityQueue<Waiter>;
  #timer: TimerHandle | undefined;
  #lastHeldAt = Number.NEGATIVE_INFINITY;
  /** When much comes back at once: for a while from then on, those who wait are let go one by one. */
  #resetAt = Number.NEGATIVE_INFINITY;
  /** When the next of them may go; undefined while its turn has not been drawn. */
  #nextAt: number | undefined;

  constructor(limits: KeyedRateLimits, options: PacedLineOptions, deps: PacedLineDeps) {
    this.limits = limits;
    this.#options = options;
    this.#deps = deps;
    this.#queue = new PriorityQueue(options.msPerRank);
  }

  get length(): number {
    return this.#queue.size;
  }

  reconfigure(options: PacedLineOptions): void {
    this.#options = options;
    this.#queue.msPerRank = options.msPerRank;
  }

  /** At once, or undefined: then it has to ask for a place. */
  admit(demand: Demand): Ticket | undefined {
    const now = this.#deps.clock.now();
    if (this.#queue.size > 0 || this.limits.turnOf(demand, now).at > now) return undefined;
    return this.limits.begin(demand, now);
  }

  /** Waits for room. Settles at once where waiting makes no sense, and as soon as the applicant leaves. */
  wait(applicant: Applicant): Promise<Admission> {
    const now = this.#deps.clock.now();
    if (applicant.cancellation.cancelled) return Promise.resolve({ kind: 'left' });
    const { at, obstacle } = this.limits.turnOf(applicant.demand, now);
    const latest = Math.min(now + this.#options.maxWaitMs, applicant.deadlineAt);
    if (Number.isFinite(at) && at > latest) {
      // Told long ago not to come for long: somebody must find out when that is over.
      if (this.limits.isSilent(now))
        return Promise.resolve({ kind: 'go', ticket: this.limits.begin(applicant.demand, now) });
      return Promise.resolve({ kind: 'refused', why: 'too-late', retryAfterMs: at - now });
    }
    if (this.#queue.size >= this.#options.maxQueue)
      return Promise.resolve({ kind: 'refused', why: 'queue-full', ...this.#timeTo(applicant.demand) });
    return this.#join(applicant, obstacle);
  }

  /** A pause is over before its time: those who wait go one by one, as after a reset. */
  reopen(): void {
    this.#resetAt = Math.min(this.#resetAt, this.#deps.clock.now());
    this.review();
  }

  /** Something was learnt, or a call has its answer: perhaps there is room now. */
  review(): void {
    for (;;) {
      this.#clearTimer();
      const first = this.#queue.peek();
      if (!first) return;
      const now = this.#deps.clock.now();
      const { at, sudden } = this.limits.turnOf(first.value.demand, now);
      if (at > now) return this.#holdUntil(at, sudden, now);
      if (!this.#isTurn(now)) return;
      this.#queue.remove(first);
      this.#nextAt = undefined;
      first.value.go(this.limits.begin(first.value.demand, now));
    }
  }

  #join({ demand, rank, cancellation }: Applicant, obstacle: Obstacle | undefined): Promise<Admission> {
    const { clock } = this.#deps;
    return new Promise((resolve) => {
      const settle = (admission: Admission): void => {
        clock.clearTimer(timer);
        cancellation.off(onCancel);
        resolve(admission);
      };
      const giveUp = (admission: Admission): void => {
        this.#queue.remove(place);
        settle(admission);
        this.review();
      };
      const onCancel = (): void => giveUp({ kind: 'left' });
      const timer = clock.setTimer(this.#options.maxWaitMs, () =>
        giveUp({ kind: 'refused', why: 'waited', ...this.#timeTo(demand) }),
      );
      const waiter: Waiter = { demand, go: (ticket) => settle({ kind: 'go', ticket }) };
      const place: Place<Waiter> = this.#queue.push(waiter, rank, clock.now());
      cancellation.onCancel(onCancel);
      this.#tellHold(obstacle);
      this.review();
    });
  }

  #holdUntil(at: number, sudden: boolean, now: number): void {
    this.#nextAt = undefined;
    // One of those under way will bring news.
    if (!Number.isFinite(at)) return;
    if (sudden) this.#resetAt = at;
    this.#timer = this.#deps.clock.setTimer(at - now, () => this.review());
  }

  /** Draws the turn of the first in line, once; sets the timer where it has not come. */
  #isTurn(now: number): boolean {
    const left = this.#resetAt + this.#options.spreadMs - now;
    // Room before the reset is no stampede: somebody left, or the provider had more than was thought.
    if (now < this.#resetAt || left <= 0) return true;
    // Uniform over twice the share of each: on average all of the time is used, and sidecars do not march in step.
    this.#nextAt ??= now + (2 * this.#deps.random.next() * left) / (this.#queue.size + 1);
    if (this.#nextAt <= now) return true;
    this.#timer = this.#deps.clock.setTimer(this.#nextAt - now, () => this.review());
    return false;
  }

  #timeTo(demand: Demand): { readonly retryAfterMs: number | undefined } {
    const now = this.#deps.clock.now();
    const { at } = this.limits.turnOf(demand, now);
    return { retryAfterMs: Number.isFinite(at) && at > now ? at - now : undefined };
  }

  #clearTimer(): void {
    if (this.#timer) this.#deps.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  /** At a limit waits come and go with every call: once in a while is enough. */
  #tellHold(obstacle: Obstacle | undefined): void {
    const now = this.#deps.clock.now();
    if (now - this.#lastHeldAt >= QUIET_MS) this.#deps.onHold(obstacle);
    this.#lastHeldAt = now;
  }
}
