/**
 * Tells a server that is late now and then from one that is away. A late reply costs who waited for it its bound;
 * everyone stops asking only when nothing has been in time for several steps in a row.
 * @see Finagle, `FailureAccrualFactory`: five failures in a row
 */
import type { Clock, TimerHandle } from '../../core/clock.ts';

/** Late replies of one step count once: whatever a short standstill holds up is late at the same moment. */
const MOST_STEPS = 5;
/** A step is as long as a command may take, but who gives commands much time need not wait so long in vain. */
const LONGEST_STEP_MS = 250;

export class Lateness {
  readonly #clock: Clock;
  readonly #stepMs: number;
  readonly #onAway: () => void;
  #steps = 0;
  /** Late commands whose replies have not come at all yet. */
  #missing = 0;
  #lateInStep = false;
  #timer: TimerHandle | undefined;

  /** @param timeoutMs after which a command is late */
  constructor(clock: Clock, timeoutMs: number, onAway: () => void) {
    this.#clock = clock;
    this.#stepMs = Math.min(timeoutMs, LONGEST_STEP_MS);
    this.#onAway = onAway;
  }

  /** A command had no reply in time. */
  late(): void {
    this.#missing += 1;
    if (this.#timer) this.#lateInStep = true;
    else this.#count();
  }

  /** A late one has come after all. */
  cameLate(): void {
    this.#missing = Math.max(0, this.#missing - 1);
  }

  /** A reply was in time, or there is nobody to wait for any more: it begins anew. */
  over(): void {
    if (this.#timer) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#steps = 0;
    this.#missing = 0;
    this.#lateInStep = false;
  }

  #count(): void {
    this.#steps += 1;
    if (this.#steps >= MOST_STEPS) {
      this.over();
      this.#onAway();
      return;
    }
    // One after the other: if it is this process that stands still, that is one step.
    this.#timer = this.#clock.setBackgroundTimer(this.#stepMs, () => this.#stepOver());
  }

  #stepOver(): void {
    this.#timer = undefined;
    if (!this.#lateInStep && this.#missing === 0) return;
    this.#lateInStep = false;
    this.#count();
  }
}

/**
 * Calls `tooLate` after `ms`, once what has come by then is read: if it was this process that was busy, the reply is here
 * already.
 * @returns calls it off
 */
export function afterReading(clock: Clock, ms: number, tooLate: () => void): () => void {
  let timer = clock.setTimer(ms, () => {
    timer = clock.setTimer(0, tooLate);
  });
  return () => clock.clearTimer(timer);
}
