/** How often a Redis that is away is asked whether it is back. */
import type { Random } from '../../core/random.ts';

/** Sidecars that lost the same server at the same moment come back spread over this time. */
const FIRST_MS = 100;
const LONGEST_MS = 5_000;
/** Who was back for less time than this goes on where it was: a server that flaps is not asked all the time. */
const STEADY_MS = 10_000;

export class ProbeDelays {
  readonly #random: Random;
  #nextMs = FIRST_MS;
  #backSince: number | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Milliseconds until the next probe, at most 5 s: doubling from 100 ms, the upper half of each left to chance. */
  next(): number {
    const most = this.#nextMs;
    this.#nextMs = Math.min(LONGEST_MS, most * 2);
    return (most * (1 + this.#random.next())) / 2;
  }

  lost(now: number): void {
    if (this.#backSince !== undefined && now - this.#backSince >= STEADY_MS) this.#nextMs = FIRST_MS;
    this.#backSince = undefined;
  }

  back(now: number): void {
    this.#backSince = now;
  }
}
