/**
 * Where an exchange becomes an attempt: picks an endpoint, numbers the try, judges how it ended. It stands between
 * the exchange policies (one pipeline per upstream) and the attempt policies (one chain per endpoint).
 */
import { endAttempt } from '../core/attempt-ending.ts';
import type { AttemptEndingDeps } from '../core/attempt-ending.ts';
import type { Cancellation } from '../core/cancellation.ts';
import { Cancellation as ChildCancellation } from '../core/cancellation.ts';
import { Attempt } from '../core/exchange.ts';
import type { Classify, Exchange } from '../core/exchange.ts';
import { whenOver } from '../core/outcome.ts';
import type { Outcome, RejectionOutcome } from '../core/outcome.ts';
import type { Reason } from '../core/reasons.ts';
import type { Next } from '../core/policy.ts';
import { verdictOf } from '../core/verdict.ts';
import type { VerdictClass } from '../core/verdict.ts';
import { climbsOut } from './dot-segments.ts';
import type { EndpointSet } from './endpoint-set.ts';

export function selectEndpoint(
  endpoints: EndpointSet,
  classify: Classify,
  deps: AttemptEndingDeps,
): Next<Exchange> {
  const { clock } = deps;
  return async (exchange: Exchange, cancellation: Cancellation): Promise<Outcome> => {
    const isOpen = endpoints.needsBody && exchange.pinnedTo === undefined;
    if (isOpen && exchange.body.peek() === undefined) await exchange.body.whole();
    const chosen = endpoints.pick(exchange);
    if (!chosen) return noneLeft(endpoints.whyNone(exchange));
    // Here, because only here it is known whose base path it is: a ladder leads to other upstreams.
    if (chosen.endpoint.basePath !== '' && climbsOut(exchange.request.target))
      return rejection('bad_request', 'permanent', 'dot segments could leave the base path of the upstream');
    const now = clock.now();
    const attempt = new Attempt(exchange, chosen.endpoint, new ChildCancellation(cancellation), now);
    attempt.classify = classify;
    const { member } = chosen;
    member.begin(now);
    const outcome = await chosen.send(attempt, attempt.cancellation);
    whenOver(outcome, () => member.end());
    if (outcome.kind === 'response') endpoints.answered(exchange, chosen.endpoint, outcome.head);
    const ended = endAttempt(attempt, outcome, deps);
    // What is neither good nor bad says nothing of how quick it is, or is too quick: a refusal takes no work.
    const { durationMs = 0 } = attempt;
    if (ended.verdict.result !== 'neutral')
      member.observe(durationMs, ended.verdict.result === 'failure', now + durationMs);
    return ended;
  };
}

/** Another try cannot bring an endpoint that does not exist. */
const noneLeft = ({ reason, detail }: ReturnType<EndpointSet['whyNone']>): RejectionOutcome =>
  rejection(reason, reason === 'unknown_endpoint' ? 'permanent' : 'refused', detail);

const rejection = (reason: Reason, as: VerdictClass, detail?: string): RejectionOutcome => ({
  kind: 'rejection',
  reason,
  by: 'select-endpoint',
  verdict: verdictOf(as),
  ...(detail !== undefined && { detail }),
});
