/** Claims the key of a call, waiting while somebody else runs it. */
import type { Cancellation } from '../core/cancellation.ts';
import { sleep } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import type { ClaimReply, ClaimRequest, IdempotencyStore, KeyClaim } from '../core/idempotency-store.ts';
import type { Random } from '../core/random.ts';
import type { RunResult } from './run-result.ts';

const FIRST_POLL_MS = 50;
const LAST_POLL_MS = 1_000;
const POLL_GROWTH = 1.5;

export interface ClaimDeps {
  readonly store: IdempotencyStore;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * @param cancellation nobody wants the call any more
 * @param running called when somebody else is found to run it; perhaps more than once
 * @returns the claim, or why the call is not to be run
 */
export async function claimKey(
  request: ClaimRequest,
  { store, clock, random }: ClaimDeps,
  { cancellation, running }: { readonly cancellation: Cancellation; readonly running: () => void },
): Promise<KeyClaim | RunResult> {
  let { whenAway } = request;
  for (let pollMs = FIRST_POLL_MS; !cancellation.cancelled; pollMs = longer(pollMs)) {
    const asked = store.claim({ ...request, whenAway });
    const reply = asked instanceof Promise ? await asked : asked;
    if (reply.kind === 'claimed' && !cancellation.cancelled) return reply.claim;
    if (reply.kind === 'claimed') store.release(reply.claim);
    else if (reply.kind !== 'running' || reply.fingerprint !== request.fingerprint)
      return resultOf(reply, request, whenAway !== request.whenAway);
    // Somebody is known to run it: this process must not, whatever becomes of the store meanwhile.
    whenAway = 'refuse';
    running();
    await sleep(clock, pollMs * (1 - random.next() / 2), cancellation);
  }
  return { kind: 'again' };
}

const longer = (pollMs: number): number => Math.min(LAST_POLL_MS, pollMs * POLL_GROWTH);

function resultOf(
  reply: Exclude<ClaimReply, { kind: 'claimed' }>,
  { fingerprint }: ClaimRequest,
  seenRunning: boolean,
): RunResult {
  switch (reply.kind) {
    case 'running':
      return { kind: 'mismatch' };
    case 'done':
      return reply.fingerprint === fingerprint
        ? { kind: 'done', result: reply.result }
        : { kind: 'mismatch' };
    case 'away':
      return { kind: seenRunning ? 'busy' : 'away' };
    case 'full':
      return reply;
  }
}
