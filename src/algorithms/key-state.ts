/**
 * What is known of one key: usable, cooling down after it was throttled, or out because it is not accepted. There are no
 * timers: whoever looks at the clock next finds that a time has passed.
 */
import type { Hint } from '../core/hint-store.ts';
import type { Random } from '../core/random.ts';

export type KeyStateName = 'ready' | 'cooling' | 'out';

/** Why a key is out. */
export type OutCause = 'quota' | 'auth';

export interface KeyTimes {
  /** First cool-down where the provider names no time; it doubles with each one in a row. Milliseconds. */
  readonly initialMs: number;
  /** No such cool-down is longer. */
  readonly maxMs: number;
  /** The longest wait that a provider can ask for. */
  readonly maxRetryAfterMs: number;
  /** How long a key is out before one call may try it; Infinity: until somebody says so. */
  readonly outMs: number;
}

/** Spread that keeps many sidecars from coming back in step. */
const JITTER_RATIO = 0.1;

/**
 * A trial of a key that is out keeps the others away for so long, or until its end is known. A trial that hangs keeps
 * nobody away for longer.
 */
const TRIAL_MS = 30_000;

/** Doublings beyond which a number would only overflow. */
const MAX_DOUBLINGS = 40;

/** What of a key's state outlives the process. */
export interface KeyMemory {
  readonly name: KeyStateName;
  readonly cause: OutCause;
  /** Monotonic; Infinity: until somebody's word. Means nothing of a key that is ready. */
  readonly until: number;
  readonly coolDowns: number;
}

export class KeyState {
  #name: KeyStateName = 'ready';
  #cause: OutCause = 'auth';
  /** When it may be used again, unless it is ready. Moves later only, until it has come back. */
  #until = Number.NEGATIVE_INFINITY;
  /** When it was turned away last: attempts that began before belong to the same wave. */
  #turnedAwayAt = Number.NEGATIVE_INFINITY;
  #coolDowns = 0;
  #trialUntil = Number.NEGATIVE_INFINITY;
  /** It cools down because of this hint. */
  #followed: Hint | undefined;
  #heardId: string | undefined;
  /** When the newest attempt began that was accepted. */
  #acceptedAt = Number.NEGATIVE_INFINITY;
  /** Its account in the round robin. */
  credit = 0;

  /** What it is as far as anybody has noticed. */
  get name(): KeyStateName {
    return this.#name;
  }

  /** What it is by the clock: a cool-down that has passed is over, noticed or not. */
  nameAt(now: number): KeyStateName {
    return this.#name === 'cooling' && this.#until <= now ? 'ready' : this.#name;
  }

  get cause(): OutCause {
    return this.#cause;
  }

  /** Milliseconds until it may be used; 0 when it may, Infinity when no time will do. */
  waitAt(now: number): number {
    if (this.#name === 'ready') return 0;
    const until = this.#name === 'out' ? Math.max(this.#until, this.#trialUntil) : this.#until;
    return Math.max(0, until - now);
  }

  /** Undefined when it has learnt nothing of it. Like all that is remembered, it does not change by the clock. */
  get memory(): KeyMemory | undefined {
    const name = this.#followed ? 'ready' : this.#name;
    if (name === 'ready' && this.#coolDowns === 0) return undefined;
    return { name, cause: this.#cause, until: this.#until, coolDowns: this.#coolDowns };
  }

  /** Takes up what was known in a process before this one. A time that passed meanwhile is over. */
  restore({ name, cause, until, coolDowns }: KeyMemory, now: number, times: KeyTimes): void {
    this.#coolDowns = coolDowns;
    if (name === 'ready' || (name === 'cooling' && until <= now)) return;
    this.#name = name;
    this.#cause = cause;
    // Whatever was configured when it began.
    const longestMs = Number.isFinite(until) ? longestOf(name, times) : times.outMs;
    this.#until = Math.min(until, now + longestMs);
  }

  /**
   * Somebody else was throttled with the same key: it cools down until then, never for less than it does already. An
   * attempt that began after the hint and was accepted says more. Each hint is heeded once.
   */
  hear(hint: Hint, now: number, times: KeyTimes): void {
    if (hint.id === this.#heardId) return;
    this.#heardId = hint.id;
    const until = Math.min(hint.until, now + longestOf('cooling', times));
    if (this.#name === 'out' || this.#acceptedAt > hint.toldAt || until <= Math.max(now, this.#until)) return;
    this.#name = 'cooling';
    this.#until = until;
    this.#followed = hint;
  }

  /** It cools down because another one said so. */
  get hinted(): boolean {
    return this.#followed !== undefined;
  }

  /** Notices that a cool-down has passed. @returns whether one has */
  wake(now: number): boolean {
    if (this.#name === 'ready' || this.nameAt(now) !== 'ready') return false;
    this.#name = 'ready';
    this.#followed = undefined;
    return true;
  }

  /** It is about to be used. Of a key that is out this is the one trial. */
  use(now: number): void {
    if (this.#name === 'out') this.#trialUntil = now + TRIAL_MS;
  }

  /** An attempt with it ended in a way that says nothing about it. @param startedAt when that began: only the trial ends the trial */
  release(startedAt: number): void {
    if (startedAt >= this.#trialUntil - TRIAL_MS) this.#trialUntil = Number.NEGATIVE_INFINITY;
  }

  /**
   * @param startedAt when the attempt began that was throttled
   * @param askedMs how long the provider asked to wait, where it did
   */
  cool({ now, startedAt }: AttemptTimes, askedMs: number | undefined, { times, random }: CoolDown): void {
    const late = this.#isLate(startedAt);
    if (late && (askedMs === undefined || this.#name === 'out')) return;
    if (!late) this.#coolDowns += 1;
    const ownMs = Math.min(times.maxMs, times.initialMs * 2 ** Math.min(MAX_DOUBLINGS, this.#coolDowns - 1));
    const waitMs =
      askedMs === undefined
        ? ownMs * (1 + random.next() * JITTER_RATIO)
        : Math.min(askedMs, times.maxRetryAfterMs);
    this.#turnAway('cooling', now, waitMs);
  }

  /** @param waitMs until one call may try it; Infinity: until somebody says so */
  takeOut({ now, startedAt }: AttemptTimes, cause: OutCause, waitMs: number): void {
    if (this.#name === 'out' && this.#isLate(startedAt)) return;
    this.#cause = cause;
    this.#turnAway('out', now, waitMs);
  }

  /** An attempt that began at `startedAt` was accepted. What began before the key was turned away proves nothing. */
  accept(startedAt: number): void {
    if (this.#isLate(startedAt)) return;
    this.#acceptedAt = Math.max(this.#acceptedAt, startedAt);
    const refuted = this.#followed !== undefined && startedAt > this.#followed.toldAt;
    if (this.#name === 'out' || refuted) this.reset();
    else this.#coolDowns = 0;
  }

  /** Somebody says that it is good again. */
  reset(): void {
    this.#name = 'ready';
    this.#followed = undefined;
    this.#coolDowns = 0;
    this.#until = Number.NEGATIVE_INFINITY;
    this.#trialUntil = Number.NEGATIVE_INFINITY;
  }

  /** The attempt began before the key was turned away, and is of the same wave: it tells nothing new. */
  #isLate(startedAt: number): boolean {
    return startedAt <= this.#turnedAwayAt;
  }

  #turnAway(to: 'cooling' | 'out', now: number, waitMs: number): void {
    // A key that is throttled after it was out has been accepted: its time out is over.
    const before = this.#name === 'out' && to === 'cooling' ? Number.NEGATIVE_INFINITY : this.#until;
    this.#until = Math.max(before, now + waitMs);
    this.#turnedAwayAt = now;
    this.#followed = undefined;
    this.#trialUntil = Number.NEGATIVE_INFINITY;
    this.#name = to;
  }
}

/** The longest wait of a key that has an end. */
const longestOf = (name: 'cooling' | 'out', { maxMs, maxRetryAfterMs, outMs }: KeyTimes): number =>
  Math.max(name === 'out' ? outMs : maxMs * (1 + JITTER_RATIO), maxRetryAfterMs);

/** Monotonic instants, in milliseconds. */
export interface AttemptTimes {
  readonly now: number;
  /** When the attempt began that tells of the key. */
  readonly startedAt: number;
}

export interface CoolDown {
  readonly times: KeyTimes;
  readonly random: Random;
}
