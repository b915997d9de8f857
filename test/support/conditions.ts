/**
 * Waiting without polling: each wait re-runs its probe when the owner says that something changed, and gives up with a
 * sentence about what it wanted. Every wait of the test support goes through here, so none can hang a test silently.
 */

export interface WaitOptions {
  /** Milliseconds until the wait rejects. Default 15,000. */
  readonly timeoutMs?: number;
}

interface Waiter {
  check(): void;
  fail(why: string): void;
}

export class Conditions {
  readonly #waiting = new Set<Waiter>();
  #closedBecause: string | undefined;

  /** To be called after every change that a probe could look at. */
  changed(): void {
    for (const waiter of [...this.#waiting]) waiter.check();
  }

  /** From now on what does not hold yet never will: pending and later waits reject with `why`. */
  close(why: string): void {
    this.#closedBecause ??= why;
    for (const waiter of [...this.#waiting]) waiter.fail(why);
  }

  /**
   * The first value other than `undefined` that `probe` returns.
   * @param wanted what the wait was for; evaluated when it fails, so that it can describe the state at that moment
   * @throws Error after `timeoutMs`, after `close`, or whatever `probe` throws
   */
  until<T>(probe: () => T | undefined, wanted: () => string, options: WaitOptions = {}): Promise<T> {
    const timeoutMs = options.timeoutMs ?? 15_000;
    const failure = new Error();
    const promise = new Promise<T>((resolve, reject) => {
      const settle = (fn: () => void): void => {
        clearTimeout(timer);
        this.#waiting.delete(waiter);
        fn();
      };
      const waiter: Waiter = {
        check: () => {
          try {
            const value = probe();
            if (value !== undefined) settle(() => resolve(value));
          } catch (error) {
            settle(() => reject(error instanceof Error ? error : new Error(String(error))));
          }
        },
        fail: (why) => {
          failure.message = `${why} while waiting for ${wanted()}`;
          settle(() => reject(failure));
        },
      };
      const timer = setTimeout(() => waiter.fail(`${timeoutMs} ms passed`), timeoutMs);
      this.#waiting.add(waiter);
      waiter.check();
      if (this.#closedBecause !== undefined && this.#waiting.has(waiter)) waiter.fail(this.#closedBecause);
    });
    return quiet(promise);
  }

  /** Like `until`, for a condition without a value. */
  untilTrue(holds: () => boolean, wanted: () => string, options?: WaitOptions): Promise<void> {
    const probe = (): true | undefined => (holds() ? true : undefined);
    return quiet(this.until(probe, wanted, options).then(() => undefined));
  }
}

/** A test that fails before it awaits `promise` should report its own failure, not an unhandled rejection as well. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
