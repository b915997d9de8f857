/**
 * The one of two that is expected to answer sooner: its latency, quick to believe peaks, times what it has to do. Failures
 * count as slow answers, so that one that fails at once attracts nothing.
 * @see the peak EWMA of Finagle's load balancers (Twitter, 2015)
 */
import type { Balancer, Candidate } from '../core/balancer.ts';
import type { Random } from '../core/random.ts';
import { betterOfTwo } from './two-choices.ts';

/** What one is thought to take of whom nothing is known yet, but who has calls under way already: not all at once to it. */
const UNKNOWN_MS = 5_000;

export class PeakEwmaBalancer implements Balancer {
  readonly name = 'peak-ewma';
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  pick(candidates: readonly Candidate[]): number {
    return betterOfTwo(candidates, this.#random, costOf);
  }
}

function costOf({ latencyMs, active, weight }: Candidate): number {
  const expectedMs = latencyMs < 1 && active > 0 ? UNKNOWN_MS : latencyMs;
  return ((expectedMs + 1) * (active + 1)) / weight;
}
