/** What was turned away for its credential is tried again with another: at once, and still within every bound. */
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/core/outcome.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { fail, refuse, respond } from '../support/policy-kit.ts';
import { PLAIN, POST, RetryRig } from './retry-rig.ts';

const turnedAway = (status: number, retryAfterMs?: number): Outcome => {
  const plain = respond(status);
  const verdict = { ...plain.verdict, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  return { ...plain, verdict, otherCredential: true };
};

describe('retry: with another credential', () => {
  it.each([
    ['401', () => turnedAway(401)],
    ['402', () => turnedAway(402)],
    ['429 that asks for an hour', () => turnedAway(429, 3_600_000)],
  ])('is made at once after %s, also of a POST', async (_, make) => {
    const run = new RetryRig(PLAIN);
    const { script, outcome } = await run.toTheEnd(POST, make, respond());
    expect(script.gaps).toEqual([0]);
    expect(outcome()).toMatchObject({ head: { status: 200 } });
  });

  it('is not made of a POST that may have acted before the error came inside its answer', async () => {
    const inside = () => ({
      ...fail('upstream_error', { verdict: verdictOf('quota') }),
      otherCredential: true as const,
    });
    expect((await new RetryRig(PLAIN).toTheEnd(POST, inside, respond())).script.calls).toHaveLength(1);
    expect((await new RetryRig(PLAIN).toTheEnd({}, inside, respond())).script.calls).toHaveLength(2);
  });

  it('is made although the upstream says of the first that it should not be', async () => {
    const told = (): Outcome => {
      const { head, ...rest } = turnedAway(401) as Extract<Outcome, { kind: 'response' }>;
      return { ...rest, head: { ...head, headers: ['x-should-retry', 'false'] } };
    };
    expect((await new RetryRig(PLAIN).toTheEnd(POST, told, respond())).script.calls).toHaveLength(2);
  });

  it('is made whatever classes are tried again: it is another credential’s first try', async () => {
    const run = new RetryRig({ classes: [] });
    expect((await run.toTheEnd(POST, turnedAway(401), respond())).script.calls).toHaveLength(2);
  });

  it('is not made of a class that only another credential could mend, where there is none', async () => {
    const run = new RetryRig();
    expect((await run.toTheEnd(POST, respond(401), respond())).script.calls).toHaveLength(1);
  });

  it('counts as a retry: within maxRetries, the budget and the deadline', async () => {
    const few = new RetryRig({ maxRetries: 1 });
    expect((await few.toTheEnd(POST, () => turnedAway(401))).script.calls).toHaveLength(2);
    expect(few.refusals).toEqual(['exhausted']);
    const poor = new RetryRig({ budget: { ratio: 0, floor: 0 } });
    expect((await poor.toTheEnd(POST, () => turnedAway(401))).script.calls).toHaveLength(1);
    expect(poor.refusals).toEqual(['budget']);
    const late = new RetryRig();
    const { script } = late.start(POST, (exchange) => {
      exchange.deadlineAt = late.clock.now();
      return turnedAway(401);
    });
    await late.clock.advance(10);
    expect([script.calls.length, late.refusals]).toEqual([1, ['deadline']]);
  });

  it('is not made of a body that is gone', async () => {
    const run = new RetryRig();
    const body = { ...run.start({}, respond()).exchange.body, replayable: false };
    await run.toTheEnd({ ...POST, body }, () => turnedAway(401));
    expect(run.refusals).toEqual(['not-replayable']);
  });

  it('takes nothing from the growth of later delays', async () => {
    const run = new RetryRig({ ...PLAIN, maxRetries: 3 });
    const { script } = await run.toTheEnd({}, turnedAway(401), respond(503), respond(503), respond());
    expect(script.gaps).toEqual([0, 250, 500]);
  });
});

describe('retry: a refusal that repeats when the upstream wants to be asked again', () => {
  const cooling = (retryAfterMs: number): Outcome =>
    refuse('credentials_cooling', { verdict: verdictOf('throttled', retryAfterMs), retryAfterMs });

  it('is waited for, also by a POST: nothing was sent', async () => {
    const run = new RetryRig(PLAIN);
    const { script, outcome } = await run.toTheEnd(POST, cooling(4_000), respond());
    expect(script.gaps).toEqual([4_000]);
    expect(outcome()).toMatchObject({ head: { status: 200 } });
  });

  it('goes to the client at once where the wait is too long', async () => {
    const run = new RetryRig();
    const { script } = await run.toTheEnd(POST, cooling(30_001), respond());
    expect([script.calls.length, run.refusals]).toEqual([1, ['retry-after']]);
  });

  it.each([
    ['throttled without a time', refuse('credentials_cooling', { verdict: verdictOf('throttled') })],
    ['of our own', refuse('circuit_open', { retryAfterMs: 10 })],
    ['for want of a credential', refuse('no_credential', { verdict: verdictOf('auth', 10) })],
  ])('is no other refusal: %s', async (_, refusal) => {
    const run = new RetryRig();
    expect((await run.toTheEnd({}, refusal, respond())).script.calls).toHaveLength(1);
  });
});
