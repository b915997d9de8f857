/**
 * Notices clients that stop in the middle of an upload. One sweep for all of them: almost every upload is over long
 * before it could be late, and should not pay for a timer of its own.
 */
import type { Clock, TimerHandle } from '../core/clock.ts';

/** An upload under way. */
export interface WatchedUpload {
  /** Monotonic instant by which the client must have sent something; Infinity while nothing is expected of it. */
  readonly lateAt: number;
  /** The client is late. The watch lets go of the upload before it calls. */
  onLate(): void;
}

export class UploadWatch {
  readonly #clock: Clock;
  readonly #uploads = new Set<WatchedUpload>();
  #timer: TimerHandle | undefined;
  #sweepMs = 1_000;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param idleMs how long the client may be silent; lateness is noticed within a quarter of it, or a second */
  add(upload: WatchedUpload, idleMs: number): void {
    this.#sweepMs = Math.min(1_000, Math.max(10, idleMs / 4));
    this.#uploads.add(upload);
    this.#timer ??= this.#clock.setBackgroundTimer(this.#sweepMs, this.#sweep);
  }

  delete(upload: WatchedUpload): void {
    this.#uploads.delete(upload);
  }

  readonly #sweep = (): void => {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const upload of this.#uploads) {
      if (upload.lateAt > now) continue;
      this.#uploads.delete(upload);
      upload.onLate();
    }
    if (this.#uploads.size > 0) this.#timer = this.#clock.setBackgroundTimer(this.#sweepMs, this.#sweep);
  };
}
