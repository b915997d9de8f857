/** The end of a response body, told once to everyone who asked. A promise per listener would cost more than the rest of a body. */
import type { CancelReason } from './cancellation.ts';
import type { Completion } from './outcome.ts';

export type EndListener = (completion: Completion) => void;

export abstract class BodyEnd {
  #completion: Completion | undefined;
  #listeners: EndListener[] | undefined;

  /** Calls `listener` when the body has ended; at once where it already has. Listeners must not throw. */
  onEnd(listener: EndListener): void {
    if (this.#completion) listener(this.#completion);
    else (this.#listeners ??= []).push(listener);
  }

  /** The same as a promise, for those who wait. Never rejects. */
  get completion(): Promise<Completion> {
    return new Promise((resolve) => this.onEnd(resolve));
  }

  /** The first call counts; later ones do nothing. */
  protected settleEnd(completion: Completion): void {
    if (this.#completion) return;
    this.#completion = completion;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (listeners) for (const listener of listeners) listener(completion);
  }
}

/** How a body ends whose reader is cancelled. */
export function endOfCancel(why: CancelReason): Exclude<Completion['end'], 'complete'> {
  // A bound that the caller set too near is the caller's leaving, as far as the upstream goes.
  if (why === 'client-aborted' || why === 'caller-deadline') return 'client-aborted';
  return why === 'superseded' || why === 'shutdown' ? 'discarded' : 'timed-out';
}
