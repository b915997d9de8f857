/**
 * Sub-agents that work in parallel on one key, with retries alone and with pacing: what their provider has to turn away,
 * and what gets done. An agent does one job after the other, each until it is done.
 */
import type { Attempt } from '../../../src/core/exchange.ts';
import { seededRandom } from '../../../src/core/random.ts';
import type { RequestBody } from '../../../src/core/request.ts';
import { PipelineRig } from '../../../test/composition/pipeline-rig.ts';
import type { Policies } from '../../../test/composition/pipeline-rig.ts';
import { Bucket, FixedWindow, LimitedProvider } from '../../../test/support/limited-provider.ts';
import { anthropicHeaders, noHeaders, openaiHeaders } from '../../../test/support/limited-provider.ts';
import type { ProviderOptions } from '../../../test/support/limited-provider.ts';
import { bytesBody, finish } from '../../../test/support/policy-kit.ts';
import type { Step } from '../../../test/support/policy-kit.ts';
import { Ledger } from './ledger.ts';

const MINUTE = 60_000;
const AGENTS = 12;

export const SLICE_MS = 2_000;
/** Three windows, without the beginning of a fourth: the clock does not start at 0. */
export const LASTS_MS = 3 * MINUTE - SLICE_MS;

export const RETRY_ALONE: Policies = {
  deadline: { after: '10m' },
  retry: { maxRetries: 2, maxElapsed: '5m' },
};
export const PACED: Policies = { ...RETRY_ALONE, pacing: {} };

export interface PacingRun {
  /** Calls that the provider took and answered well, by when they began. */
  readonly done: number;
  /** Its 429s. */
  readonly turnedAway: number;
  /** Errors that agents saw. */
  readonly failed: number;
  readonly ledger: Ledger<'turnedAway'>;
}

const takesMs = [300, 2_500] as const;

export const PROVIDERS: Readonly<Record<string, () => ProviderOptions>> = {
  'a bucket of requests, told as OpenAI does': () => ({
    meters: { requests: new Bucket(120, MINUTE) },
    headers: openaiHeaders,
    takesMs,
  }),
  'a bucket of tokens, told as OpenAI does, with Retry-After': () => ({
    meters: { requests: new Bucket(2_000, MINUTE), tokens: new Bucket(120_000, MINUTE) },
    headers: openaiHeaders,
    takesMs,
    retryAfter: true,
  }),
  'a window of requests, told as OpenAI does': () => ({
    meters: { requests: new FixedWindow(120, MINUTE) },
    headers: openaiHeaders,
    takesMs,
  }),
  'a window of requests, told as Anthropic does': () => ({
    meters: { requests: new FixedWindow(120, MINUTE) },
    headers: anthropicHeaders,
    takesMs,
    retryAfter: true,
  }),
  'a bucket of requests, told as Anthropic does': () => ({
    meters: { requests: new Bucket(120, MINUTE), tokens: new Bucket(400_000, MINUTE) },
    headers: anthropicHeaders,
    takesMs,
    retryAfter: true,
  }),
  'a small window, by answers that take half of it': () => ({
    meters: { requests: new FixedWindow(20, MINUTE) },
    headers: openaiHeaders,
    takesMs: [2_000, 30_000],
  }),
  'a bucket, told by refusals only': () => ({
    meters: { requests: new Bucket(120, MINUTE) },
    headers: noHeaders,
    takesMs,
  }),
};

export async function playPacing(policies: Policies, provider: ProviderOptions): Promise<PacingRun> {
  const rig = new PipelineRig();
  const { clock } = rig;
  const limited = new LimitedProvider(clock, provider);
  const ledger = new Ledger<'turnedAway'>(SLICE_MS, clock.now());
  const { send } = rig.upstream(
    'main',
    policies,
    noting(limited, () => ledger.note('turnedAway', clock.now())),
  );
  const random = seededRandom(11);
  const endsAt = clock.now() + LASTS_MS;
  const tally = { done: 0, failed: 0 };
  clock.setTimer(LASTS_MS, () => (tally.done = limited.answered));
  const pause = (ms: number): Promise<void> => new Promise((resolve) => void clock.setTimer(ms, resolve));

  async function agent(): Promise<void> {
    await pause(random.next() * 1_000);
    while (clock.now() < endsAt) {
      const body = bytesBody(new Uint8Array(400 + Math.floor(random.next() * 8_000)));
      while (!(await isDone(body)) && clock.now() < endsAt) await pause(2_000);
      await pause(100);
    }
  }

  async function isDone(body: RequestBody): Promise<boolean> {
    const { exchange } = rig.prepare({ request: { method: 'POST' }, body });
    const outcome = await send(exchange, exchange.cancellation);
    finish(outcome);
    const ok = outcome.verdict.class === 'ok';
    if (!ok) tally.failed += 1;
    return ok;
  }

  const all = Array.from({ length: AGENTS }, agent);
  await clock.advance(LASTS_MS + 5 * MINUTE);
  await Promise.all(all);
  if (clock.pendingTimers > 0) throw new Error('a policy has left a timer behind');
  return { ...tally, turnedAway: limited.turnedAway, ledger };
}

/** What the provider does, and a word for each call that it turns away. */
function noting(limited: LimitedProvider, onTurnedAway: () => void): Step<Attempt> {
  return (attempt, cancellation) => {
    const before = limited.turnedAway;
    const outcome = typeof limited.step === 'function' ? limited.step(attempt, cancellation) : limited.step;
    if (limited.turnedAway > before) onTurnedAway();
    return outcome;
  };
}
