/** How long to wait before a place that did not answer is asked again: longer each time, and not all at once. */
import { delays } from '../algorithms/backoff.ts';
import type { Delays } from '../algorithms/backoff.ts';
import type { Random } from '../core/random.ts';

const FIRST_DELAY_MS = 1_000;
/** Keeps the return short: once the place is back, the list is right again within this time. */
const LAST_DELAY_MS = 30_000;

/** 1 s, doubling up to 30 s; each between its half and its whole. A new one for each outage. */
export function reconnectDelays(random: Random): Delays {
  return delays(
    {
      kind: 'exponential',
      initialMs: FIRST_DELAY_MS,
      maxMs: LAST_DELAY_MS,
      multiplier: 2,
      jitter: 'equal',
      jitterRatio: 0,
    },
    random,
  );
}
