/**
 * The generic cell rate algorithm: a token bucket whose whole state is one instant, the one at which it will be full
 * again. An instant that has passed says nothing more: a full bucket can be forgotten.
 *
 * @see ITU-T I.371, annex A, "virtual scheduling"
 */
import type { BucketSize, Level } from '../core/limit-store.ts';

/** Instants are sums of many fractions: what differs by less is the same, in milliseconds. */
const ROUNDING_MS = 0.001;

/** A debt never takes longer to pay than so many full buckets, whatever a call is said to have cost. */
export const MOST_DEBT_BURSTS = 10;

/** Reckoning in another order comes to about the same. */
const SLACK_MS = 1;

const msPerToken = ({ ratePerSecond }: BucketSize): number => 1_000 / ratePerSecond;

const mostMs = (size: BucketSize): number => (1 + MOST_DEBT_BURSTS) * size.burst * msPerToken(size);

/**
 * Milliseconds until a bucket is full. An instant beyond all debt was written by another clock, or for a bucket of
 * another size: were it believed, nobody might go until then.
 */
function owedMs(fullAt: number | undefined, size: BucketSize, now: number): number {
  const owed = Math.max(0, (fullAt ?? now) - now);
  return owed > mostMs(size) + SLACK_MS ? 0 : owed;
}

/** @param fullAt the bucket's state; undefined for a full one */
export function levelAt(fullAt: number | undefined, size: BucketSize, cost: number, now: number): Level {
  const owed = owedMs(fullAt, size, now);
  const remaining = size.burst - owed / msPerToken(size);
  const roomMs = (size.burst - Math.min(cost, size.burst)) * msPerToken(size);
  const waitMs = owed - roomMs;
  return { remaining, waitMs: waitMs <= ROUNDING_MS ? 0 : waitMs };
}

/** The bucket's state once `cost` more has been taken from it, or given back where that is below 0. */
export function chargedAt(fullAt: number | undefined, size: BucketSize, cost: number, now: number): number {
  const owed = owedMs(fullAt, size, now) + cost * msPerToken(size);
  return now + Math.min(mostMs(size), Math.max(0, owed));
}
