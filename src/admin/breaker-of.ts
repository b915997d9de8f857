/** The circuit breaker of an upstream, as far as operators are concerned with it. */
import { CircuitBreaker } from '../policies/circuit-breaker.ts';
import type { LiveUpstream } from '../runtime/upstream.ts';

/** Undefined when it is switched off. */
export function breakerOf(upstream: LiveUpstream): CircuitBreaker | undefined {
  const policy = upstream.policies.get('circuit-breaker');
  return policy instanceof CircuitBreaker ? policy : undefined;
}

/**
 * Whether it refuses calls now. One that is open beyond its time is not: it waits for a call to probe with, and a
 * process that is kept out of service for it would never get that call.
 */
export function isRefusing(breaker: CircuitBreaker): boolean {
  if (breaker.state === 'isolated') return true;
  return breaker.state === 'open' && breaker.snapshot()['openForMs'] !== 0;
}
