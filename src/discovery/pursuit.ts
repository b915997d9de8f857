/** Work in rounds for as long as it is wanted: what follows a source that may be away. */
import { delays } from '../algorithms/backoff.ts';
import type { BackoffOptions, Delays } from '../algorithms/backoff.ts';
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';

export interface PursuitDeps {
  readonly clock: Clock;
  readonly random: Random;
}

/** @returns milliseconds to rest until the next round; what it throws is a failure, and the rest grows with each in a row */
export type Round = (signal: AbortSignal) => Promise<number>;

/** Sidecars that lost the same source at the same moment come back spread over this. */
const BACKOFF: BackoffOptions = {
  kind: 'exponential',
  initialMs: 200,
  maxMs: 10_000,
  multiplier: 2,
  jitter: 'equal',
  jitterRatio: 0,
};
/** A round that failed after this long had worked before. */
const STEADY_MS = 10_000;

export class Pursuit {
  readonly #deps: PursuitDeps;
  readonly #round: Round;
  readonly #onFailed: (message: string) => void;
  readonly #abort = new AbortController();
  #started = false;
  #delay: Delays;

  /** @param onFailed told of every round that failed, in words for a log line */
  constructor(deps: PursuitDeps, round: Round, onFailed: (message: string) => void) {
    this.#deps = deps;
    this.#round = round;
    this.#onFailed = onFailed;
    this.#delay = delays(BACKOFF, deps.random);
  }

  /** Idempotent. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    void this.#run();
  }

  /** For good: breaks off what is under way. No call of `onFailed` follows. */
  dispose(): void {
    this.#abort.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const startedAt = this.#deps.clock.now();
      let restMs: number;
      try {
        restMs = await this.#round(signal);
        this.#delay = delays(BACKOFF, this.#deps.random);
      } catch (error) {
        if (signal.aborted) return;
        this.#onFailed(error instanceof Error ? error.message : String(error));
        if (this.#deps.clock.now() - startedAt >= STEADY_MS) this.#delay = delays(BACKOFF, this.#deps.random);
        restMs = this.#delay();
      }
      await pause(this.#deps.clock, restMs, signal);
    }
  }
}

/** Waits without keeping the process alive; less where `signal` comes first. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clock.clearTimer(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.setBackgroundTimer(ms, end);
    signal.addEventListener('abort', end);
  });
}
