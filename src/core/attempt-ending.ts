/** The one end of every attempt, whoever made it: timed, judged and told of; and none at all where nothing was sent. */
import type { Clock } from './clock.ts';
import type { Emit } from './events.ts';
import type { Attempt } from './exchange.ts';
import { whenOver } from './outcome.ts';
import type { FailureOutcome, Outcome, RejectionOutcome, ResponseOutcome } from './outcome.ts';
import type { Verdict } from './verdict.ts';

declare module './events.ts' {
  interface EventMap {
    /** An attempt has an outcome: a response head, or a failure. Its body may still be on its way. */
    'attempt-ended': { readonly attempt: Attempt; readonly upstream: string };
  }
}

export interface AttemptEndingDeps {
  readonly clock: Clock;
  readonly emit: Emit;
  readonly upstream: string;
}

/** @returns the outcome with its verdict */
export function endAttempt(attempt: Attempt, outcome: Outcome, deps: AttemptEndingDeps): Outcome {
  attempt.durationMs = deps.clock.now() - attempt.startedAt;
  whenOver(outcome, () => attempt.cancellation.detach());
  if (outcome.kind === 'rejection') return withdraw(attempt, outcome);
  const verdict = attempt.judge(outcome);
  attempt.sent = sentOf(outcome, verdict);
  if (outcome.kind === 'response') attempt.status = outcome.head.status;
  else attempt.reason = outcome.reason;
  deps.emit('attempt-ended', { attempt, upstream: deps.upstream });
  return verdict === outcome.verdict ? outcome : { ...outcome, verdict };
}

/** What was turned away for rate or load has not been begun; inside an answer it may have been. */
function sentOf(outcome: ResponseOutcome | FailureOutcome, verdict: Verdict): 'no' | 'maybe' {
  if (outcome.kind === 'failure') return outcome.requestSent;
  return verdict.class === 'throttled' || verdict.class === 'overloaded' ? 'no' : 'maybe';
}

/** Nothing was sent, so it was no attempt. Numbers stay what they are: where another one began meanwhile, it stays, too. */
function withdraw(attempt: Attempt, refusal: RejectionOutcome): RejectionOutcome {
  const { attempts } = attempt.exchange;
  attempt.withdrawn = true;
  attempt.phase = 'ended';
  attempt.sent = 'no';
  attempt.reason = refusal.reason;
  attempt.verdict = refusal.verdict;
  while (attempts.at(-1)?.withdrawn) attempts.pop();
  return refusal;
}
