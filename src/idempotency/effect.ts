/** What the end of a keyed call says about its effect, and therefore what is kept of it. */
import type { Attempt, Exchange } from '../core/exchange.ts';
import { finalVerdict } from '../core/outcome.ts';
import type { VerdictClass } from '../core/verdict.ts';
import type { Completion, Outcome, ResponseOutcome } from '../core/outcome.ts';

/**
 * `none`: it had no effect, or one more would do no harm: whoever sends the key next runs it. `answered`: its answer is
 * its result. `unknown`: it may have had its effect.
 */
export type Effect = 'none' | 'answered' | 'unknown';

/** Turned away for rate, load or credential, before any work began; where the status says so, not the answer's body. */
const AT_THE_DOOR: ReadonlySet<VerdictClass> = new Set(['throttled', 'overloaded', 'auth', 'quota']);

/** By the operator's word, or by what the protocol says of such calls, key or not. */
export function isHarmlessToRepeat({ upstream, call }: Exchange): boolean {
  if (upstream.idempotent === true || call.repeat === 'safe') return true;
  return call.repeat === 'compute' && upstream.idempotent === 'compute';
}

/**
 * The effect as far as the outcome's head tells. Of a response that may be a result, the end of its body decides.
 * @param attempts those made for this run
 */
export function effectOf(exchange: Exchange, attempts: readonly Attempt[], outcome: Outcome): Effect {
  if (outcome.kind === 'response') {
    const turnedAway = outcome.from === 'upstream' && AT_THE_DOOR.has(outcome.verdict.class);
    if (!turnedAway && !isStillUnderWay(attempts, outcome)) return 'answered';
  }
  if (isHarmlessToRepeat(exchange)) return 'none';
  if (attempts.length === 0 && outcome.kind === 'failure')
    return outcome.requestSent === 'no' ? 'none' : 'unknown';
  return attempts.some(mayHaveActed) ? 'unknown' : 'none';
}

/** The effect once the body has ended, too. */
export function finalEffect(exchange: Exchange, outcome: ResponseOutcome, completion: Completion): Effect {
  if (isHarmlessToRepeat(exchange))
    return finalVerdict(outcome, completion).class === 'ok' ? 'answered' : 'none';
  return completion.end === 'complete' ? 'answered' : 'unknown';
}

/** The upstream knows the key and says that an earlier try is at it yet: that is no result. */
const isStillUnderWay = (attempts: readonly Attempt[], { head, attempt }: ResponseOutcome): boolean =>
  head.status === CONFLICT && attempts.some((one) => one.number !== attempt && mayHaveActed(one));

const CONFLICT = 409;

function mayHaveActed({ sent, phase, status, verdict }: Attempt): boolean {
  if ((sent ?? (phase === 'connecting' ? 'no' : 'maybe')) === 'no') return false;
  return status === undefined || verdict === undefined || !AT_THE_DOOR.has(verdict.class);
}
