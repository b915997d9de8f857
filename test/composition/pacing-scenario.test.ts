/**
 * Sub-agents that work in parallel on one key, with retries alone and with pacing: what their provider has to turn away,
 * and what gets done. In virtual time, from seeds: every run is the same.
 */
import { describe, expect, it } from 'vitest';
import type { RequestBody } from '../../src/core/exchange.ts';
import { seededRandom } from '../../src/core/random.ts';
import { Bucket, FixedWindow, LimitedProvider } from '../support/limited-provider.ts';
import { anthropicHeaders, noHeaders, openaiHeaders } from '../support/limited-provider.ts';
import type { ProviderOptions } from '../support/limited-provider.ts';
import { bytesBody, finish } from '../support/policy-kit.ts';
import { PipelineRig } from './pipeline-rig.ts';
import type { Policies } from './pipeline-rig.ts';

const MINUTE = 60_000;
const AGENTS = 12;
/** Three windows, without the beginning of a fourth: the clock does not start at 0. */
const LASTS_MS = 3 * MINUTE - 2_000;

const RETRY: Policies = { deadline: { after: '10m' }, retry: { maxRetries: 2, maxElapsed: '5m' } };
const PACED: Policies = { ...RETRY, pacing: {} };

interface Tally {
  /** Calls that the provider took and answered well, by when they began. */
  readonly done: number;
  readonly turnedAway: number;
  /** Errors that agents saw. */
  readonly failed: number;
}

async function play(policies: Policies, provider: () => ProviderOptions): Promise<Tally> {
  const rig = new PipelineRig();
  const limited = new LimitedProvider(rig.clock, provider());
  const { send } = rig.upstream('main', policies, limited.step);
  const random = seededRandom(11);
  const endsAt = rig.clock.now() + LASTS_MS;
  const tally = { done: 0, failed: 0 };
  rig.clock.setTimer(LASTS_MS, () => (tally.done = limited.answered));
  const pause = (ms: number): Promise<void> => new Promise((resolve) => void rig.clock.setTimer(ms, resolve));

  /** Does one job after the other, each until it is done. */
  async function agent(): Promise<void> {
    await pause(random.next() * 1_000);
    while (rig.clock.now() < endsAt) {
      const body = bytesBody(new Uint8Array(400 + Math.floor(random.next() * 8_000)));
      while (!(await isDone(body)) && rig.clock.now() < endsAt) await pause(2_000);
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
  await rig.clock.advance(LASTS_MS + 5 * MINUTE);
  await Promise.all(all);
  expect(rig.clock.pendingTimers).toBe(0);
  return { ...tally, turnedAway: limited.turnedAway };
}

const takesMs = [300, 2_500] as const;

const PROVIDERS: Readonly<Record<string, () => ProviderOptions>> = {
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

describe('retry -> pacing, with twelve agents on a limit for a quarter of them', () => {
  it.each(Object.entries(PROVIDERS))(
    'has at most a tenth turned away of what retries alone have, and gets as much done: %s',
    async (_, provider) => {
      const alone = await play(RETRY, provider);
      const paced = await play(PACED, provider);
      expect(alone.turnedAway).toBeGreaterThan(300);
      expect(paced.turnedAway).toBeLessThanOrEqual(alone.turnedAway / 10);
      expect(paced.done).toBeGreaterThanOrEqual(alone.done * 0.97);
      expect(paced.failed).toBeLessThanOrEqual(alone.failed / 10);
    },
  );

  it('gets its own share of a key that others use too, and takes nothing by force', async () => {
    const provider = (): ProviderOptions => ({
      meters: { requests: new Bucket(240, MINUTE) },
      headers: openaiHeaders,
      takesMs,
      othersPerMs: 120 / MINUTE,
    });
    const alone = await play(RETRY, provider);
    const paced = await play(PACED, provider);
    expect(paced.turnedAway).toBeLessThanOrEqual(alone.turnedAway / 10);
    // What was in the bucket, and half of what came in.
    expect(paced.done).toBeGreaterThanOrEqual((240 + (120 * LASTS_MS) / MINUTE) * 0.97);
    expect(alone.done).toBeGreaterThan(paced.done);
  });
});
