/** Looks at the agent again and again, never twice at a time. */
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import { runProbe } from '../health/probes/probe.ts';
import type { Probe, ProbeResult } from '../health/probes/probe.ts';

export interface CheckerOptions {
  readonly probe: Probe;
  /** From the start of one check to that of the next; where a check takes longer, the next begins when it ends. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly onResult: (result: ProbeResult) => void;
}

/** Share by which an interval is shortened at most, so that many sidecars do not look in step. */
const JITTER = 0.1;

export class Checker {
  readonly #options: CheckerOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #abort = new AbortController();
  #timer: TimerHandle | undefined;

  constructor(options: CheckerOptions, { clock, random }: { clock: Clock; random: Random }) {
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
  }

  /** The first look is at once. */
  start(): void {
    void this.#check();
  }

  /** Breaks off a check under way; its result is not told. */
  stop(): void {
    this.#abort.abort();
    if (this.#timer) this.#clock.clearTimer(this.#timer);
  }

  async #check(): Promise<void> {
    const { probe, intervalMs, timeoutMs, onResult } = this.#options;
    const { signal } = this.#abort;
    const startedAt = this.#clock.now();
    const result = await runProbe(probe, { clock: this.#clock, timeoutMs, signal });
    if (signal.aborted) return;
    onResult(result);
    const dueAt = startedAt + intervalMs * (1 - this.#random.next() * JITTER);
    this.#timer = this.#clock.setBackgroundTimer(
      Math.max(0, dueAt - this.#clock.now()),
      () => void this.#check(),
    );
  }
}
