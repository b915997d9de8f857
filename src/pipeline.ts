/** THE order in which policies stand around a call, outermost first, and why each stands where it does. */
import type { z } from 'zod';
import type { Cancellation } from './core/cancellation.ts';
import type { Attempt, Exchange } from './core/exchange.ts';
import type { Next, Policy, PolicyModule, Scope } from './core/policy.ts';
import {
  adaptiveThrottling,
  attemptTimeout,
  bulkhead,
  cache,
  circuitBreaker,
  commitGate,
  credentials,
  deadline,
  fallback,
  hedge,
  idempotency,
  outlierDetection,
  resume,
  pacing,
  rateLimit,
  retry,
  spendCap,
} from './policies/index.ts';

/** Around the whole exchange; built once per upstream. */
export const EXCHANGE_POLICIES = [
  fallback, //        outermost: can answer for any ending below, refusals included
  deadline, //        bounds queueing, backoff and all attempts; the ladder above may still answer when it passed
  cache, //           inside deadline and ladder, which are each client's own; a hit costs nothing of what stands below
  idempotency, //     a duplicate costs nothing below; outside retry, whose tries are one run; inside the deadline of each client
  spendCap, //        above retry, which asks it before every further try, as the ladder above does
  rateLimit, //       above whatever takes permits or budget: a refused call takes none; above retry, for it counts calls, not tries
  bulkhead, //        one permit per exchange however often retried, held to the end of the body
  retry, //           sees every ending below; spends the retry budget
  hedge, //           inside retry, for which a race is one try; outside pacing and breaker, which every attempt passes
  pacing, //          inside retry, so that every try waits for room; outside the breaker, for a wait is no slow call
  adaptiveThrottling, // every try counts; after the wait for room, for that may be long; bends before the breaker breaks
  circuitBreaker, //  inside retry, so that every try counts; before selection, so that refusal is free and ends retrying
] as const satisfies readonly AnyModule<Exchange>[];

// Between the two lists an endpoint is selected, and the exchange becomes an attempt.

/** Around each attempt; built once per endpoint. */
export const ATTEMPT_POLICIES = [
  resume, //          outside timers, credentials and gate, so that every part of a broken stream has its own
  outlierDetection, // one for all endpoints; inside resume, so that it sees every broken part, outside the timers, so that it sees timeouts
  attemptTimeout, //  each attempt has its own clock: connect, first byte, idle
  credentials, //     the key belongs to the attempt; above the gate, so that it sees what each key is told
  commitGate, //      innermost: turns errors inside answers into failures before anything above takes them for success
] as const satisfies readonly AnyModule<Attempt>[];

/** A module whatever its options are. */
export type AnyModule<S extends Scope> = Omit<PolicyModule<S, z.ZodType>, 'build'> & {
  build(options: never, ...rest: never[]): Policy<S>;
};

/** Wraps `innermost` in the policies; the first of the list becomes the outermost. */
export function compose<S extends Scope>(policies: readonly Policy<S>[], innermost: Next<S>): Next<S> {
  return policies.reduceRight<Next<S>>(
    (next, policy) => (scope: S, cancellation: Cancellation) => policy.run(scope, next, cancellation),
    innermost,
  );
}
