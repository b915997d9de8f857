/**
 * One server with so many workers and a queue before them, in virtual time. It may be slow, refuse at once, or stand still
 * for a while now and then, as one does whose garbage is collected.
 */
import type { Attempt } from '../../../src/core/exchange.ts';
import type { Outcome } from '../../../src/core/outcome.ts';
import type { Random } from '../../../src/core/random.ts';
import type { FakeClock } from '../../../test/support/fake-clock.ts';
import { respond } from '../../../test/support/policy-kit.ts';

export interface PlainServerOptions {
  readonly workers: number;
  /** Mean time of work on a call, in milliseconds; exponential. */
  readonly meanWorkMs: number;
  /** It answers nothing but 503, after this many milliseconds. */
  readonly failsAfterMs?: number;
  /** It stands still for `ms` every `everyMs`, from `everyMs` on: what is under way waits, too. */
  readonly pauses?: { readonly everyMs: number; readonly ms: number };
}

export class PlainServer {
  readonly #clock: FakeClock;
  readonly #random: Random;
  readonly #options: PlainServerOptions;
  readonly #beganAt: number;
  readonly #queue: (() => void)[] = [];
  #busy = 0;
  /** Calls that it was given. */
  calls = 0;

  constructor(clock: FakeClock, random: Random, options: PlainServerOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#options = options;
    this.#beganAt = clock.now();
  }

  readonly send = (attempt: Attempt): Promise<Outcome> => {
    attempt.phase = 'waiting';
    this.calls += 1;
    const { failsAfterMs, workers } = this.#options;
    return new Promise((resolve) => {
      if (failsAfterMs !== undefined) {
        this.#clock.setTimer(failsAfterMs, () => resolve(respond(503)));
        return;
      }
      const begin = (): void => this.#work(() => resolve(respond()));
      if (this.#busy < workers) begin();
      else this.#queue.push(begin);
    });
  };

  #work(done: () => void): void {
    this.#busy += 1;
    const ms = -Math.log(1 - this.#random.next()) * this.#options.meanWorkMs;
    const now = this.#clock.now() - this.#beganAt;
    this.#clock.setTimer(this.#endOf(now, ms) - now, () => {
      this.#busy -= 1;
      done();
      this.#queue.shift()?.();
    });
  }

  /** When work that begins now is done; pauses make it later. Instants count from the begin. */
  #endOf(now: number, workMs: number): number {
    const { pauses } = this.#options;
    if (!pauses) return now + workMs;
    const { everyMs, ms } = pauses;
    let [at, left] = [now, workMs];
    for (;;) {
      const nth = Math.floor(at / everyMs);
      if (nth >= 1 && at < nth * everyMs + ms) at = nth * everyMs + ms;
      const nextPause = (nth + 1) * everyMs;
      if (at + left <= nextPause) return at + left;
      left -= nextPause - at;
      at = nextPause;
    }
  }
}
