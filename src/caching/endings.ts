/** How a visit to the cache ends when the answer is not a copy. */
import type { Exchange } from '../core/exchange.ts';
import { withoutHeaders } from '../core/header-list.ts';
import type { Outcome, RejectionOutcome, ResponseOutcome } from '../core/outcome.ts';
import { verdictOf } from '../core/verdict.ts';
import type { Forwarded } from './cache-status.ts';
import type { Copy } from './copy.ts';
import type { Seat } from './flight.ts';
import type { Landing } from './landing.ts';
import type { Visit } from './visit.ts';

/** What a passenger got, with a body of its own. */
export function outcomeOf(landing: Exclude<Landing, { kind: 'copy' }>, { body }: Seat): Outcome {
  return landing.kind === 'shared' && body ? { ...landing.outcome, body } : landing.outcome;
}

export function whyForwarded({ copy, plan, varies }: Visit): Forwarded {
  if (copy) return copy.ttlMs > 0 || plan.demands.noCache ? 'request' : 'stale';
  return varies ? 'vary-miss' : 'uri-miss';
}

export const marked = (outcome: ResponseOutcome, cacheStatus: string): ResponseOutcome => ({
  ...outcome,
  head: { ...outcome.head, headers: [...outcome.head.headers, 'cache-status', cacheStatus] },
});

/** Meant for whoever's request it was. */
const OF_THE_FIRST: ReadonlySet<string> = new Set(['set-cookie', 'set-cookie2']);

/** What somebody else's request brought: none of it was this exchange's own attempt. */
export function joined(outcome: Outcome, cacheStatus: string): Outcome {
  if (outcome.kind === 'rejection') return outcome;
  const { attempt: _, ...rest } = outcome;
  if (rest.kind === 'failure') return rest;
  const headers = withoutHeaders(rest.head.headers, OF_THE_FIRST);
  return marked({ ...rest, from: 'cache', head: { ...rest.head, headers } }, cacheStatus);
}

/** No other upstream is wanted instead (RFC 9111 §5.2.1.7). */
export const notCached = (by: string): RejectionOutcome => ({
  kind: 'rejection',
  reason: 'not_cached',
  by,
  verdict: verdictOf('permanent'),
});

/** What the cache has past its time, for a ladder above. */
export function leaveForLadder(exchange: Exchange, copy: Copy): void {
  exchange.staleAnswer = {
    staleForMs: () => -copy.ttlMs,
    open: (cancellation) => copy.answer(exchange.request, { fwd: 'stale', detail: 'fallback' }, cancellation),
  };
}

const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** Something may not be what it was (RFC 9111 §4.4). */
export function hasEffect({ request, call }: Exchange, outcome: Outcome): boolean {
  if (SAFE.has(request.method) || outcome.kind !== 'response') return false;
  return outcome.head.status >= 200 && outcome.head.status < 400 && call.repeat === 'unsafe';
}
