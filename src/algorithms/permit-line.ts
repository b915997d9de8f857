/**
 * Permits, and the line of those who wait for one: by rank, fair between flows, and without those who would get theirs
 * too late. A permit belongs to who has it until it is given back, however long that is.
 */
import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { FairQueue } from './fair-queue.ts';
import type { FairQueueOptions, Seat } from './fair-queue.ts';
import { MovingAverage } from './moving-average.ts';

export interface PermitLineOptions extends FairQueueOptions {
  /** Most who wait at a time; 0: nobody waits. */
  readonly maxQueue: number;
  /** Longest wait, in milliseconds. */
  readonly queueTimeoutMs: number;
}

export interface PermitLineDeps {
  readonly clock: Clock;
  /** All permits are taken: somebody has to wait or is refused, the first in a while. */
  readonly onFull: () => void;
}

/** Why somebody may not wait, or no longer. */
export type Refusal =
  /** As many as may wait do so. */
  | 'queue-full'
  /** The queue is full, and somebody came who is more important, or has fewer in it. */
  | 'displaced'
  /** By how long permits have been held of late, its turn would come too late for its deadline. */
  | 'too-late'
  /** It has waited as long as it may. */
  | 'waited';

export interface Permit {
  readonly flow: string;
  /** Monotonic instant from which it is held. */
  readonly since: number;
}

export type Admission =
  | { readonly kind: 'go'; readonly permit: Permit }
  | { readonly kind: 'refused'; readonly why: Refusal; readonly retryAfterMs: number | undefined }
  | { readonly kind: 'left' };

export interface Applicant {
  readonly flow: string;
  readonly rank: number;
  /** Monotonic instant by which it needs its answer; Infinity for none. */
  readonly deadlineAt: number;
  readonly cancellation: Cancellation;
}

/** Time without anybody waiting after which the next wait is news. */
const QUIET_MS = 60_000;
/** Share of the newest value in what is usual. */
const NEWEST = 0.1;
/** One that took many times as long counts as so many: an outlier, or the first of many that will tell. */
const OUTLIER = 4;

interface Waiter {
  readonly go: (permit: Permit) => void;
  readonly refuse: (why: Refusal) => void;
}

export class PermitLine {
  readonly #clock: Clock;
  readonly #onFull: () => void;
  readonly #queue: FairQueue<Waiter>;
  #options: PermitLineOptions;
  #limit: number;
  readonly #permits = new Set<Permit>();
  readonly #holders = new Map<string, number>();
  readonly #holding = new MovingAverage(NEWEST);
  readonly #answering = new MovingAverage(NEWEST);
  #lastFullAt = Number.NEGATIVE_INFINITY;
  #refused = 0;

  /** @param limit permits there are, ≥ 1 */
  constructor(limit: number, options: PermitLineOptions, { clock, onFull }: PermitLineDeps) {
    this.#limit = limit;
    this.#options = options;
    this.#clock = clock;
    this.#onFull = onFull;
    this.#queue = new FairQueue(options);
  }

  /** Permits that are out; more than the limit for a while after that came down. */
  get active(): number {
    return this.#permits.size;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** So many since it was made. */
  get refused(): number {
    return this.#refused;
  }

  get limit(): number {
    return this.#limit;
  }

  set limit(limit: number) {
    this.#limit = limit;
    this.#review();
  }

  /** Those who wait keep their places and the timers that they have. */
  reconfigure(options: PermitLineOptions): void {
    this.#options = options;
    this.#queue.reconfigure(options);
  }

  /** At once, or undefined: then it has to wait for its turn. */
  take(flow: string): Permit | undefined {
    return this.active < this.#limit && this.#queue.size === 0 ? this.#grant(flow) : undefined;
  }

  /** Settles at once where waiting makes no sense, and as soon as the applicant leaves. */
  wait(applicant: Applicant): Promise<Admission> {
    if (applicant.cancellation.cancelled) return Promise.resolve({ kind: 'left' });
    this.#tellFull();
    if (this.#isTooLate(applicant)) return Promise.resolve(this.#refuse('too-late'));
    if (this.#queue.size >= this.#options.maxQueue && !this.#makeRoomFor(applicant))
      return Promise.resolve(this.#refuse('queue-full'));
    return this.#join(applicant);
  }

  /** Whoever holds it has a good answer, the body aside. */
  answered({ since }: Permit): void {
    this.#answering.add(this.#clock.now() - since);
  }

  /** A permit that was given back already is ignored. */
  release(permit: Permit): void {
    if (!this.#permits.delete(permit)) return;
    const { flow, since } = permit;
    const held = this.#heldBy(flow) - 1;
    if (held > 0) this.#holders.set(flow, held);
    else this.#holders.delete(flow);
    const longestMs = OUTLIER * (this.#holding.value ?? Number.POSITIVE_INFINITY);
    this.#holding.add(Math.min(this.#clock.now() - since, longestMs));
    this.#review();
  }

  readonly #heldBy = (flow: string): number => this.#holders.get(flow) ?? 0;

  #grant(flow: string): Permit {
    const permit: Permit = { flow, since: this.#clock.now() };
    this.#permits.add(permit);
    this.#holders.set(flow, this.#heldBy(flow) + 1);
    return permit;
  }

  #review(): void {
    while (this.active < this.#limit) {
      const seat = this.#queue.shift(this.#heldBy);
      if (!seat) return;
      seat.value.go(this.#grant(seat.flow));
    }
  }

  #join({ flow, rank, cancellation }: Applicant): Promise<Admission> {
    const clock = this.#clock;
    return new Promise((resolve) => {
      const settle = (admission: Admission): void => {
        clock.clearTimer(timer);
        cancellation.off(onCancel);
        resolve(admission);
      };
      const onCancel = (): void => {
        this.#queue.remove(seat);
        settle({ kind: 'left' });
      };
      const waiter: Waiter = {
        go: (permit) => settle({ kind: 'go', permit }),
        refuse: (why) => {
          this.#queue.remove(seat);
          settle(this.#refuse(why));
        },
      };
      const timer = clock.setTimer(this.#options.queueTimeoutMs, () => waiter.refuse('waited'));
      const seat: Seat<Waiter> = this.#queue.push(waiter, { flow, rank, since: clock.now() });
      cancellation.onCancel(onCancel);
    });
  }

  /** Otherwise one agent with many calls, or many unimportant ones, would shut the queue for all others. */
  #makeRoomFor(applicant: Applicant): boolean {
    const victim = this.#options.maxQueue > 0 ? this.#queue.victimOf(applicant) : undefined;
    victim?.value.refuse('displaced');
    return victim !== undefined;
  }

  #refuse(why: Refusal): Admission {
    this.#refused += 1;
    const ms = this.#waitBehind(this.#queue.size);
    return { kind: 'refused', why, retryAfterMs: ms > 0 && Number.isFinite(ms) ? ms : undefined };
  }

  #isTooLate(applicant: Applicant): boolean {
    const { deadlineAt } = applicant;
    if (!Number.isFinite(deadlineAt)) return false;
    const turnInMs = this.#waitBehind(this.#queue.ahead(applicant));
    return this.#clock.now() + turnInMs + (this.#answering.value ?? 0) > deadlineAt;
  }

  /**
   * Milliseconds until so many others have had their turn and one more permit is free, as things usually go. One that is
   * held for longer than usual is taken to be held for as long again: a connection that stays open for hours promises
   * nothing, and an upstream that is stuck is noticed although nothing ends.
   */
  #waitBehind(others: number): number {
    const [now, usualMs] = [this.#clock.now(), this.#holding.value ?? 0];
    let endsPerMs = 0;
    for (const { since } of this.#permits) endsPerMs += 1 / Math.max(usualMs, now - since);
    return (others + 1) / endsPerMs;
  }

  /** At the limit waits come and go with every call: once in a while is enough. */
  #tellFull(): void {
    const now = this.#clock.now();
    if (now - this.#lastFullAt >= QUIET_MS) this.#onFull();
    this.#lastFullAt = now;
  }
}
