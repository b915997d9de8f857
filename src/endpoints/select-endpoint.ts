/**
 * Where an exchange becomes an attempt: picks an endpoint, numbers the try, judges how it ended. It stands between
 * the exchange policies (one pipeline per upstream) and the attempt policies (one chain per endpoint).
 */
import type { Cancellation } from '../core/cancellation.ts';
import { Cancellation as ChildCancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import { Attempt } from '../core/exchange.ts';
import type { Classify, Exchange } from '../core/exchange.ts';
import { whenOver } from '../core/outcome.ts';
import type { FailureOutcome, Outcome, RejectionOutcome, ResponseOutcome } from '../core/outcome.ts';
import type { Reason } from '../core/reasons.ts';
import type { Next } from '../core/policy.ts';
import { verdictOf } from '../core/verdict.ts';
import type { Verdict, VerdictClass } from '../core/verdict.ts';
import { climbsOut } from './dot-segments.ts';
import type { EndpointSet } from './endpoint-set.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** An attempt has an outcome: a response head, or a failure. Its body may still be on its way. */
    'attempt-ended': { readonly attempt: Attempt; readonly upstream: string };
  }
}

export function selectEndpoint(
  endpoints: EndpointSet,
  classify: Classify,
  deps: { clock: Clock; emit: Emit; upstream: string },
): Next<Exchange> {
  const { clock, emit, upstream } = deps;
  return async (exchange: Exchange, cancellation: Cancellation): Promise<Outcome> => {
    const chosen = endpoints.pick(exchange);
    if (!chosen) return rejection('no_endpoint', 'refused');
    // Here, because only here it is known whose base path it is: a ladder leads to other upstreams.
    if (chosen.endpoint.basePath !== '' && climbsOut(exchange.request.target))
      return rejection('bad_request', 'permanent', 'dot segments could leave the base path of the upstream');
    const attempt = new Attempt(exchange, chosen.endpoint, new ChildCancellation(cancellation), clock.now());
    attempt.classify = classify;
    const outcome = await chosen.send(attempt, attempt.cancellation);
    attempt.durationMs = clock.now() - attempt.startedAt;
    whenOver(outcome, () => attempt.cancellation.detach());
    if (outcome.kind === 'rejection') return withdraw(attempt, outcome);
    const verdict = attempt.judge(outcome);
    attempt.sent = sentOf(outcome, verdict);
    if (outcome.kind === 'response') {
      attempt.status = outcome.head.status;
      endpoints.answered(exchange, chosen.endpoint, outcome.head);
    } else attempt.reason = outcome.reason;
    emit('attempt-ended', { attempt, upstream });
    return verdict === outcome.verdict ? outcome : { ...outcome, verdict };
  };
}

/** What was turned away for rate or load has not been begun; inside an answer it may have been. */
function sentOf(outcome: ResponseOutcome | FailureOutcome, verdict: Verdict): 'no' | 'maybe' {
  if (outcome.kind === 'failure') return outcome.requestSent;
  return verdict.class === 'throttled' || verdict.class === 'overloaded' ? 'no' : 'maybe';
}

/** Nothing was sent, so it was no attempt. */
function withdraw(attempt: Attempt, refusal: RejectionOutcome): RejectionOutcome {
  const { attempts } = attempt.exchange;
  if (attempts.at(-1) === attempt) attempts.pop();
  return refusal;
}

const rejection = (reason: Reason, as: VerdictClass, detail?: string): RejectionOutcome => ({
  kind: 'rejection',
  reason,
  by: 'select-endpoint',
  verdict: verdictOf(as),
  ...(detail !== undefined && { detail }),
});
