import { describe, expect, it } from 'vitest';
import { settle } from '../support/fake-clock.ts';
import { bodyOf, respond, silence } from '../support/policy-kit.ts';
import { BreakerRig } from './breaker-rig.ts';

const ONLY_RATIO = { consecutiveFailures: false } as const;

describe('circuit-breaker: slow calls', () => {
  const options = { ...ONLY_RATIO, failureRatio: false, slowCallRatio: 0.75, slowCall: '2s' } as const;
  const slowly = (rig: BreakerRig, make = () => respond()) =>
    rig.start(async () => {
      await new Promise<void>((resolve) => rig.clock.setTimer(2_000, resolve));
      return make();
    });
  async function slowCalls(rig: BreakerRig, times: number, make = () => respond()): Promise<void> {
    for (let i = 0; i < times; i++) {
      const { outcome } = slowly(rig, make);
      await rig.clock.advance(2_000);
      const answer = outcome();
      if (answer?.kind === 'response') bodyOf(answer).complete();
      await settle();
    }
  }

  it('open it at their share, although they all succeed', async () => {
    const rig = new BreakerRig({ ...options, minimumCalls: 20 });
    await rig.succeed(5);
    await slowCalls(rig, 14);
    expect(rig.state).not.toBe('open');
    await slowCalls(rig, 1);
    expect(rig.state).toBe('open');
  });

  it('are no reason by default', async () => {
    const rig = new BreakerRig({ slowCall: '2s' });
    await slowCalls(rig, 30);
    expect(rig.state).toBe('closed');
  });

  it('are judged by the time to the head: a long body is not slow', async () => {
    const rig = new BreakerRig(options);
    for (let i = 0; i < 10; i++) {
      const answer = respond();
      rig.start(answer);
      await rig.clock.advance(30_000);
      bodyOf(answer).complete();
      await settle();
    }
    expect(rig.state).toBe('closed');
  });

  it('count when the caller gave up on them, which is what slow upstreams bring about', async () => {
    const rig = new BreakerRig(options);
    for (let i = 0; i < 5; i++) {
      const { exchange } = rig.start(silence);
      await rig.clock.advance(2_000);
      exchange.cancellation.cancel('client-aborted');
      await settle();
    }
    expect(rig.state).toBe('open');
  });

  it('do not count when the caller gave up on them before they were slow', async () => {
    const rig = new BreakerRig(options);
    for (let i = 0; i < 50; i++) {
      const { exchange } = rig.start(silence);
      await rig.clock.advance(1_999);
      exchange.cancellation.cancel('client-aborted');
      await settle();
    }
    expect(rig.state).toBe('closed');
  });

  it('count once, as calls too, when they fail', async () => {
    const rig = new BreakerRig({ ...options, slowCallRatio: 1, failureRatio: 1, minimumCalls: 50 });
    await slowCalls(rig, 3, () => respond(503));
    expect(rig.policy.snapshot()).toMatchObject({ calls: 3, failures: 3, slowCalls: 3 });
  });

  it('do not pass for a good probe', async () => {
    const rig = new BreakerRig(options);
    await slowCalls(rig, 5);
    await rig.clock.advance(15_000);
    await slowCalls(rig, 1);
    expect(rig.state).toBe('open');
    expect(rig.policy.snapshot()).toMatchObject({ openings: 2 });
  });
});

describe('circuit-breaker: degraded', () => {
  const options = { ...ONLY_RATIO, failureRatio: 0.5, degradedShare: 0.5, minimumCalls: 8 } as const;

  it('is shown at a share of the threshold, and refuses nothing', async () => {
    const rig = new BreakerRig(options);
    await rig.succeed(6);
    await rig.fail();
    expect(rig.state).toBe('closed');
    await rig.fail();
    expect(rig.state).toBe('degraded');
    expect((await rig.call()).passed()).toBe(true);
  });

  it('gives way to closed when it gets better', async () => {
    const rig = new BreakerRig(options);
    await rig.succeed(6);
    await rig.fail(2);
    await rig.succeed();
    expect(rig.state).toBe('closed');
    expect(rig.changes).toEqual([
      ['closed', 'degraded', 0],
      ['degraded', 'closed', 0],
    ]);
  });

  it('gives way to closed when the failures have aged out', async () => {
    const rig = new BreakerRig(options);
    await rig.succeed(6);
    await rig.fail(2);
    await rig.clock.advance(60_000);
    await rig.succeed();
    expect(rig.state).toBe('closed');
  });

  it('is not shown any more when the failures have aged out, although nobody has called', async () => {
    const rig = new BreakerRig(options);
    await rig.succeed(6);
    await rig.fail(2);
    await rig.clock.advance(60_000);
    expect(rig.state).toBe('closed');
    expect(rig.policy.snapshot()).toMatchObject({ state: 'closed' });
  });

  it('gives way to open when it gets worse', async () => {
    const rig = new BreakerRig(options);
    await rig.succeed(6);
    await rig.fail(6);
    expect(rig.changes).toEqual([
      ['closed', 'degraded', 0],
      ['degraded', 'open', 15_000],
    ]);
  });

  it('still hears of calls that began before it', async () => {
    const rig = new BreakerRig(options);
    const early = [respond(), respond(), respond(), respond()];
    for (const answer of early) rig.start(answer);
    await settle();
    await rig.succeed(6);
    await rig.fail(2);
    expect(rig.state).toBe('degraded');
    for (const answer of early) bodyOf(answer).breakOff();
    await settle();
    expect(rig.state).toBe('open');
  });
});
