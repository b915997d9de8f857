/**
 * Delays between attempts. The growth comes from cockatiel's backoffs; the jitter is ours, because theirs draws on a
 * global source of chance that no test can seed (docs/adr/0003).
 * @see Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog 2015
 */
import { ConstantBackoff, ExponentialBackoff } from 'cockatiel';
import type { IBackoff, IBackoffFactory } from 'cockatiel';
import type { Random } from '../core/random.ts';

export type Jitter = 'full' | 'equal' | 'decorrelated' | 'proportional' | 'none';

export interface BackoffOptions {
  readonly kind: 'exponential' | 'constant';
  /** Delay before the first retry, before jitter, in milliseconds. */
  readonly initialMs: number;
  /** No delay is longer, whatever the jitter. */
  readonly maxMs: number;
  /** Growth from one retry to the next, at least 1. */
  readonly multiplier: number;
  readonly jitter: Jitter;
  /** Share by which `proportional` jitter lengthens a delay at most, 0 to 1. */
  readonly jitterRatio: number;
}

/** One exchange's sequence of delays; each call gives the next, in milliseconds. */
export type Delays = () => number;

type Spread = (delayMs: number) => number;

function spreadOf(options: BackoffOptions, random: Random): Spread {
  switch (options.jitter) {
    case 'full':
      return (ms) => random.next() * ms;
    case 'equal':
      return (ms) => ms / 2 + (random.next() * ms) / 2;
    case 'proportional':
      return (ms) => ms * (1 + random.next() * options.jitterRatio);
    case 'decorrelated':
    case 'none':
      return (ms) => ms;
  }
}

function factoryOf(options: BackoffOptions, random: Random): IBackoffFactory<undefined> {
  if (options.kind === 'constant') return new ConstantBackoff(options.initialMs);
  return new ExponentialBackoff<number | undefined>({
    initialDelay: options.initialMs,
    maxDelay: options.maxMs,
    exponent: options.multiplier,
    generator: options.jitter === 'decorrelated' ? decorrelated(options, random) : doubling(options),
  });
}

type Generator = (state: number | undefined) => [number, number];

/** initial · multiplierⁿ, capped. The state is the delay itself: no power can overflow. */
const doubling =
  ({ initialMs, maxMs, multiplier }: BackoffOptions): Generator =>
  (previous) => {
    const delay = Math.min(maxMs, previous === undefined ? initialMs : previous * multiplier);
    return [delay, delay];
  };

/** Uniform between the initial delay and three times the delay before, capped. */
const decorrelated =
  ({ initialMs, maxMs }: BackoffOptions, random: Random): Generator =>
  (previous = initialMs) => {
    const delay = Math.min(maxMs, initialMs + random.next() * Math.max(0, previous * 3 - initialMs));
    return [delay, delay];
  };

/** Never throws; every delay is within [0, maxMs]. */
export function delays(options: BackoffOptions, random: Random): Delays {
  const spread = spreadOf(options, random);
  let backoff: IBackoffFactory<undefined> | IBackoff<undefined> = factoryOf(options, random);
  return () => {
    const next: IBackoff<undefined> = backoff.next(undefined);
    backoff = next;
    return Math.min(options.maxMs, spread(next.duration));
  };
}
