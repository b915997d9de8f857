import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/core/outcome.ts';
import { ControlledBody, attemptAt, fail, finish, respond } from '../support/policy-kit.ts';
import { leave, take } from '../support/restart.ts';
import { PLAIN, RetryRig, stale } from './retry-rig.ts';
import type { Run } from './retry-rig.ts';

const FEEDBACK = { feedback: { latency: '10m' }, budget: false, maxElapsed: false, ...PLAIN } as const;
const bad = (): Outcome => fail('connection_reset');

/** Exchanges side by side, tried once each. */
async function tried(rig: RetryRig, count: number, outcome: () => Outcome): Promise<void> {
  const runs = Array.from({ length: count }, () => rig.start({}, outcome(), respond()));
  await rig.clock.advance(0);
  for (const run of runs) ended(run);
}

function ended(run: Run): void {
  const outcome = run.outcome();
  if (outcome) finish(outcome);
}

describe('retry: feedback', () => {
  it('is off unless configured', async () => {
    const rig = new RetryRig({ budget: false, ...PLAIN });
    await tried(rig, 20, bad);
    expect(rig.policy.health).toBeUndefined();
    expect(rig.policy.snapshot()).toMatchObject({ health: null });
  });

  it('makes fewer retries the worse the upstream does, and says why', async () => {
    const rig = new RetryRig({ ...FEEDBACK, maxRetries: 4 });
    await tried(rig, 16, respond);
    expect(rig.policy.health).toBe(1);
    const failing = await rig.toTheEnd({}, ...Array.from({ length: 9 }, bad));
    // Of 20 calls four have failed by then: two thirds of the share that counts in full.
    expect(failing.script.calls).toHaveLength(4);
    expect(rig.refusals).toEqual(['unhealthy']);
  });

  it('counts an answer as good when its body has come to its end, and as bad when it breaks off', async () => {
    const rig = new RetryRig({ ...FEEDBACK, feedback: { minimumCalls: 1 } });
    const body = new ControlledBody();
    await rig.toTheEnd({}, respond(200, { body }));
    expect(rig.policy.health).toBe(1);
    body.breakOff();
    expect(rig.policy.health).toBeLessThan(0.5);
  });

  it('makes none where all is lost', async () => {
    const weights = { errors: 1, latency: 0, timeouts: 0 };
    const rig = new RetryRig({ ...FEEDBACK, feedback: { minimumCalls: 1, weights } });
    expect((await rig.toTheEnd({}, bad())).script.calls).toHaveLength(1);
    expect(rig.policy.health).toBe(1);
  });

  it('makes delays longer, up to the longest that is configured', async () => {
    const backoff = { initial: '100ms', max: '150ms', jitter: 'none' };
    const options = { ...FEEDBACK, backoff, maxRetries: 20 };
    const rig = new RetryRig(options);
    await tried(rig, 10, bad);
    const delays = rig.events.of('retry-scheduled').map(({ delayMs }) => delayMs);
    // Four calls are too few to tell.
    expect(delays.slice(0, 4)).toEqual([100, 100, 100, 100]);
    expect(delays.slice(4)).toEqual([150, 150, 150, 150, 150, 150]);
  });

  it('comes back when the window has passed', async () => {
    const rig = new RetryRig({ ...FEEDBACK, maxRetries: 1 });
    await tried(rig, 10, bad);
    expect(rig.policy.health).toBeCloseTo(0.4);
    await rig.clock.advance(60_001);
    expect(rig.policy.health).toBe(1);
    expect((await rig.toTheEnd({}, bad(), respond())).script.calls).toHaveLength(2);
  });

  it('learns nothing from what says nothing of the upstream', async () => {
    const rig = new RetryRig({ ...FEEDBACK, feedback: { minimumCalls: 1 } });
    await rig.toTheEnd({}, stale(), respond());
    await rig.toTheEnd({ pinnedTo: 'a' }, bad());
    await rig.toTheEnd({}, respond(404));
    expect(rig.policy.health).toBe(1);
  });

  it('takes a switch of protocols for what it is: how its tunnel ends is not the upstream’s doing', async () => {
    const rig = new RetryRig({ ...FEEDBACK, feedback: { minimumCalls: 1 } });
    const [cut, idle] = [new ControlledBody(), new ControlledBody()];
    for (const body of [cut, idle]) await rig.toTheEnd({}, respond(101, { body, tunnel: new PassThrough() }));
    cut.breakOff();
    idle.failByTimer();
    expect(rig.policy.health).toBe(1);
  });

  it('learns nothing from an answer that breaks off where that is one endpoint’s own fault', async () => {
    const rig = new RetryRig({ ...FEEDBACK, feedback: { minimumCalls: 1 } });
    const body = new ControlledBody();
    const { exchange } = rig.start({}, (scope) => {
      const attempt = attemptAt(rig.clock, scope);
      // As whoever watches endpoints finds out when the body ends.
      body.onEnd(() => (attempt.endpointsFault = true));
      return respond(200, { body, attempt: attempt.number });
    });
    await rig.clock.advance(0);
    body.breakOff();
    expect([exchange.attempts.length, rig.policy.health]).toEqual([1, 1]);
  });

  it('is kept over a reload and a restart', async () => {
    const before = new RetryRig(FEEDBACK);
    await tried(before, 10, bad);
    const { health } = before.policy;
    expect(health).toBeLessThan(1);
    expect(before.reloaded({ ...FEEDBACK, maxRetries: 3 }).policy.health).toBe(health);
    const after = new RetryRig(FEEDBACK);
    const left = leave({ part: before.policy, clock: before.clock });
    expect(take(left, { part: after.policy, clock: after.clock })).toBe(true);
    expect(after.policy.health).toBeCloseTo(health ?? 0);
  });
});
