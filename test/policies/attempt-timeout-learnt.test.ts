import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/core/outcome.ts';
import type { Policy } from '../../src/core/policy.ts';
import type { Attempt } from '../../src/core/exchange.ts';
import { attemptTimeout } from '../../src/policies/attempt-timeout.ts';
import { after, attemptAt, finish, kit, respond } from '../support/policy-kit.ts';
import type { Kit } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';

policyContract({
  module: attemptTimeout,
  options: { firstByte: { learn: 'p95' } },
  scope: (clock) => attemptAt(clock),
  timersDuringBody: 1,
});

const LEARNT = { learn: 'p90', factor: 2, min: '100ms', max: '10s', minimumSamples: 10 } as const;

class Rig {
  readonly kit: Kit;
  readonly policy: Policy<Attempt>;

  constructor(firstByte: object | string = LEARNT, previous?: Rig) {
    this.kit = previous?.kit ?? kit();
    const options = attemptTimeout.schema.parse({ firstByte });
    this.policy = attemptTimeout.build(options, this.kit.deps, previous?.policy);
  }

  get bound(): unknown {
    return this.policy.snapshot()['firstByteMs'];
  }

  /** An attempt whose head comes `ms` after the request was sent, and whose answer is read until `untilMs` after it. */
  async take(ms: number, outcome: Outcome = respond(), untilMs = 0): Promise<Outcome | undefined> {
    const { clock } = this.kit;
    const attempt = attemptAt(clock);
    // A connection and an upload that take their time are no slowness of the answer.
    attempt.phase = 'sending';
    let settled: Outcome | undefined;
    const pending = this.policy.run(
      attempt,
      async (_, cancellation) => {
        await after(clock, 3_000, respond())(attempt, cancellation);
        attempt.phase = 'waiting';
        attempt.sentAt = attempt.lastActivityAt = clock.now();
        const head = await after(clock, ms, outcome)(attempt, cancellation);
        if (cancellation.cancelled) return head;
        attempt.phase = 'receiving';
        attempt.headAt = clock.now();
        return after(clock, untilMs, outcome)(attempt, cancellation);
      },
      attempt.cancellation,
    );
    void pending.then((one) => (settled = one));
    await clock.advance(3_000 + ms + untilMs);
    if (settled) finish(settled);
    await clock.advance(0);
    return settled;
  }

  async takeMany(count: number, ms: number): Promise<void> {
    for (let n = 0; n < count; n++) await this.take(ms);
  }
}

describe('attempt-timeout: a first byte that is learnt', () => {
  it('is bounded by the maximum until enough was seen', async () => {
    const rig = new Rig();
    await rig.takeMany(9, 200);
    expect(rig.bound).toBe(10_000);
    await rig.take(200);
    expect(Math.round(Number(rig.bound) / 50)).toBe(8);
    expect(rig.policy.snapshot()).toMatchObject({ firstByteSamples: 10 });
  });

  it('ends an attempt whose head takes longer than the percentile times the factor, counted from the last byte sent', async () => {
    const rig = new Rig();
    await rig.takeMany(10, 200);
    expect(await rig.take(380)).toMatchObject({ kind: 'response' });
    expect(await rig.take(420)).toMatchObject({ kind: 'failure', reason: 'first_byte_timeout' });
    expect(rig.kit.clock.pendingTimers).toBe(0);
  });

  it('measures to the head, however long the rest was held', async () => {
    const rig = new Rig();
    for (let n = 0; n < 10; n++) await rig.take(200, respond(), 5_000);
    expect(Math.round(Number(rig.bound) / 50)).toBe(8);
  });

  it('takes no notice of quick failures', async () => {
    const rig = new Rig();
    await rig.takeMany(10, 200);
    for (let n = 0; n < 100; n++) await rig.take(1, respond(503));
    expect(rig.policy.snapshot()).toMatchObject({ firstByteSamples: 10 });
  });

  it('grows with an upstream that becomes slow: what is cut off counts', async () => {
    const rig = new Rig();
    await rig.takeMany(20, 200);
    for (let n = 0; n < 20; n++) await rig.take(1_000);
    expect(rig.bound).toBeGreaterThan(750);
    expect(await rig.take(700)).toMatchObject({ kind: 'response' });
  });

  it.each([
    [1, 100],
    [9_000, 10_000],
  ])('of heads that take %i ms stays within its limits: %i', async (ms, bound) => {
    const rig = new Rig();
    await rig.takeMany(10, ms);
    expect(rig.bound).toBe(bound);
  });

  it('keeps what was learnt across a reload', async () => {
    const rig = new Rig();
    await rig.takeMany(10, 200);
    expect(Math.round(Number(new Rig({ ...LEARNT, factor: 4 }, rig).bound) / 50)).toBe(16);
    expect(new Rig('5s', rig).bound).toBe(5_000);
    expect(new Rig({ ...LEARNT, window: '1m' }, rig).bound).toBe(10_000);
  });
});
