/** How long a circuit stays open: one step more with every opening in a row, so that a long outage is probed ever less. */
import { ExponentialBackoff } from 'cockatiel';
import type { IBackoffFactory } from 'cockatiel';
import type { Random } from '../core/random.ts';

/** Spread that keeps many sidecars from probing in step. */
const JITTER_RATIO = 0.1;

/** The longest opening, jitter included. */
export const longestOpenMs = (maxMs: number): number => maxMs * (1 + JITTER_RATIO);

/** @returns min(maxMs, n · stepMs), lengthened by up to a tenth, for the n-th opening in a row; never above maxMs · 1.1 */
export function openTimes(
  options: { stepMs: number; maxMs: number },
  random: Random,
): IBackoffFactory<undefined> {
  return new ExponentialBackoff<number>({
    initialDelay: options.stepMs,
    maxDelay: options.maxMs,
    generator: (openings = 0, { initialDelay, maxDelay }) => {
      const plain = Math.min(maxDelay, (openings + 1) * initialDelay);
      return [plain * (1 + random.next() * JITTER_RATIO), openings + 1];
    },
  });
}
