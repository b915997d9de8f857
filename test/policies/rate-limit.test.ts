import { describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/core/cancellation.ts';
import { rateLimit } from '../../src/policies/rate-limit.ts';
import { rateLimitSchema } from '../../src/schema/rate-limits.ts';
import { settle } from '../support/fake-clock.ts';
import { after, exchangeAt, fail, refuse, respond } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';
import { RateLimitRig } from './rate-limit-rig.ts';

policyContract({
  module: rateLimit,
  options: { requests: 1_000, per: '1s' },
  scope: (clock) => exchangeAt(clock),
});
policyContract({
  module: rateLimit,
  options: { limits: [{ requests: 1_000, tokens: 100_000, per: '1s', by: 'agent' }], maxWait: '1s' },
  scope: (clock) => exchangeAt(clock),
});

const REFUSED = {
  kind: 'rejection',
  reason: 'rate_limited',
  by: 'rate-limit',
  verdict: { class: 'refused' },
};
const ONE_A_SECOND = { requests: 1, per: '1s' };
const prioritized = (priority: string) => ({ request: { headers: ['x-priority', priority] } });

describe('rate limit', () => {
  it('lets a burst go, then as many as come back', async () => {
    const rig = new RateLimitRig({ requests: 10, per: '1s' });
    expect(await rig.admitted(15)).toBe(10);
    await rig.until(500);
    expect(await rig.admitted(15)).toBe(5);
    await rig.until(60_000);
    expect(await rig.admitted(15)).toBe(10);
  });

  it('takes another burst where told to', async () => {
    const rig = new RateLimitRig({ requests: 10, per: '1s', burst: 2 });
    expect(await rig.admitted(15)).toBe(2);
    await rig.until(100);
    expect(await rig.admitted(15)).toBe(1);
  });

  it('refuses at once, without asking below, and says when to come back', async () => {
    const rig = new RateLimitRig({ requests: 2, per: '10s' });
    await rig.admitted(2);
    const { outcome, wentAt } = await rig.call();
    expect(wentAt()).toBeUndefined();
    expect(outcome()).toMatchObject({
      ...REFUSED,
      retryAfterMs: 5_000,
      headers: ['ratelimit-policy', '"requests/10s";q=2;w=10', 'ratelimit', '"requests/10s";r=0;t=5'],
    });
    expect(rig.kit.events.of('rate-limited')).toMatchObject([{ limit: 'requests/10s', why: 'used-up' }]);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('tells once in a while that a limit is reached, not with every call', async () => {
    const rig = new RateLimitRig(ONE_A_SECOND);
    await rig.admitted(20);
    expect(rig.kit.events.of('rate-limit-reached')).toEqual([{ upstream: 'main', limit: 'requests/1s' }]);
    await rig.until(59_000);
    await rig.admitted(3);
    expect(rig.kit.events.of('rate-limit-reached')).toHaveLength(1);
    await rig.until(119_100);
    await rig.admitted(3);
    expect(rig.kit.events.of('rate-limit-reached')).toHaveLength(2);
  });

  it('takes nothing for a call that was refused further down, whose place others can have', async () => {
    const rig = new RateLimitRig(ONE_A_SECOND);
    for (let i = 0; i < 5; i++) {
      const { wentAt } = await rig.call({}, refuse());
      expect(wentAt()).toBe(0);
    }
    expect(await rig.admitted(3)).toBe(1);
  });

  it('counts a call once, whatever becomes of it', async () => {
    const rig = new RateLimitRig(ONE_A_SECOND);
    await rig.call({}, fail('connection_reset'));
    expect(await rig.admitted(1)).toBe(0);
  });

  describe('with several limits', () => {
    const both = {
      limits: [
        { requests: 10, per: '1s' },
        { requests: 15, per: '1m' },
      ],
    };

    it('needs room in all of them, and takes nothing from one where another has none', async () => {
      const rig = new RateLimitRig(both);
      expect(await rig.admitted(12)).toBe(10);
      await rig.until(1_000);
      expect(await rig.admitted(12)).toBe(5);
      await rig.until(2_000);
      const { outcome } = await rig.call();
      expect(outcome()).toMatchObject({ ...REFUSED, retryAfterMs: 2_000 });
      await rig.until(4_001);
      // Those that the long limit refused have taken nothing from the short one.
      expect(rig.policy.snapshot()['limits']).toMatchObject([{ remaining: 10 }, { remaining: 1 }]);
    });

    it('names those that refused, and all that there are', async () => {
      const rig = new RateLimitRig(both);
      await rig.admitted(10);
      const { outcome } = await rig.call();
      expect(outcome()).toMatchObject({
        headers: [
          'ratelimit-policy',
          '"requests/1s";q=10;w=1, "requests/1m";q=15;w=60',
          'ratelimit',
          '"requests/1s";r=0;t=1',
        ],
      });
    });
  });

  describe('by', () => {
    it('agent: each has a bucket, and those without a name share one', async () => {
      const rig = new RateLimitRig({ requests: 2, per: '1m', by: 'agent' });
      expect(await rig.admitted(3, { agentId: 'a' })).toBe(2);
      expect(await rig.admitted(3, { agentId: 'b' })).toBe(2);
      expect(await rig.admitted(3)).toBe(2);
      expect(await rig.admitted(3)).toBe(0);
    });

    it('route: each has a bucket', async () => {
      const rig = new RateLimitRig({ requests: 2, per: '1m', by: 'route' });
      expect(await rig.admitted(3, { route: '/a' })).toBe(2);
      expect(await rig.admitted(3, { route: '/b' })).toBe(2);
    });

    it('header: each value has a bucket, whatever is in it', async () => {
      const rig = new RateLimitRig({ requests: 2, per: '1m', by: { header: 'X-Team' } });
      const of = (team: string) => ({ request: { headers: ['x-team', team] } });
      expect(await rig.admitted(3, of('one'))).toBe(2);
      expect(await rig.admitted(3, of('two/../one'))).toBe(2);
      expect(await rig.admitted(3, of('one'))).toBe(0);
      expect(JSON.stringify(rig.policy.snapshot())).not.toContain('two');
    });

    it('agent: names of any length are told apart', async () => {
      const rig = new RateLimitRig({ requests: 1, per: '1m', by: 'agent' });
      const long = 'x'.repeat(10_000);
      expect(await rig.admitted(2, { agentId: `${long}a` })).toBe(1);
      expect(await rig.admitted(2, { agentId: `${long}b` })).toBe(1);
    });
  });

  describe('with maxWait', () => {
    const waiting = { ...ONE_A_SECOND, maxWait: '5s' };

    it('lets calls wait for room and go one after the other', async () => {
      const rig = new RateLimitRig(waiting);
      const calls = [1, 2, 3, 4].map(() => rig.start());
      await rig.until(10_000);
      expect(calls.map(({ wentAt }) => Math.round(wentAt() ?? Number.NaN))).toEqual([0, 1_000, 2_000, 3_000]);
      expect(rig.kit.events.of('rate-limit-waited')).toMatchObject([
        { waitedMs: 1_000, end: 'sent' },
        { waitedMs: 2_000, end: 'sent' },
        { waitedMs: 3_000, end: 'sent' },
      ]);
      expect(rig.kit.events.of('rate-limited')).toEqual([]);
      expect(rig.clock.pendingTimers).toBe(0);
    });

    it('refuses at once who would have to wait longer, those ahead of it counted', async () => {
      const rig = new RateLimitRig(waiting);
      const calls = Array.from({ length: 8 }, () => rig.start());
      await settle();
      const refused = calls.filter(({ outcome }) => outcome()?.kind === 'rejection');
      expect(refused).toHaveLength(2);
      expect(refused[0]?.outcome()).toMatchObject({ ...REFUSED, retryAfterMs: 6_000 });
      expect(rig.kit.events.of('rate-limited')).toMatchObject([{ why: 'too-late' }, { why: 'too-late' }]);
      await rig.until(10_000);
      expect(calls.filter(({ wentAt }) => wentAt() !== undefined)).toHaveLength(6);
    });

    it('refuses at once who could not go before its deadline', async () => {
      const rig = new RateLimitRig(waiting);
      await rig.admitted(1);
      const exchange = exchangeAt(rig.clock);
      exchange.deadlineAt = rig.clock.now() + 900;
      const outcome = await rig.policy.run(exchange, () => Promise.resolve(respond()), new Cancellation());
      expect(outcome).toMatchObject(REFUSED);
    });

    it('bounds those who wait', async () => {
      const rig = new RateLimitRig({ ...waiting, maxQueue: 2 });
      const calls = [1, 2, 3, 4].map(() => rig.start());
      await settle();
      expect(rig.policy.snapshot()['queued']).toBe(2);
      expect(calls[3]?.outcome()).toMatchObject(REFUSED);
      expect(rig.kit.events.of('rate-limited')).toMatchObject([{ why: 'queue-full' }]);
      await rig.until(10_000);
    });

    it('lets the more important go first, and waiting outweigh importance', async () => {
      const rig = new RateLimitRig({ ...waiting, maxWait: '1m', priority: { ageing: '2s' } });
      await rig.admitted(1);
      const low = rig.start(prioritized('low'));
      const normal = rig.start();
      const high = rig.start(prioritized('high'));
      await rig.until(2_500);
      const late = rig.start(prioritized('high'));
      await rig.until(30_000);
      const at = [high, normal, late, low].map(({ wentAt }) => Math.round(wentAt() ?? Number.NaN));
      // low has stood since 0 and is behind by 2 s, the late one came at 2.5 s and is ahead by 2 s.
      expect(at).toEqual([1_000, 2_000, 3_000, 4_000]);
    });

    it('gives up the place of a client that leaves, and lets the next go in its turn', async () => {
      const rig = new RateLimitRig(waiting);
      const [, leaver, stays] = [rig.start(), rig.start(), rig.start()];
      await rig.until(200);
      leaver?.exchange.cancellation.cancel('client-aborted');
      await settle();
      expect(leaver?.outcome()).toMatchObject({
        kind: 'failure',
        reason: 'client_aborted',
        requestSent: 'no',
      });
      expect(rig.policy.snapshot()['queued']).toBe(1);
      await rig.until(1_000);
      expect(stays?.wentAt()).toBeCloseTo(1_000, 0);
      expect(leaver?.exchange.cancellation.listenerCount).toBe(0);
      expect(rig.clock.pendingTimers).toBe(0);
    });

    it('holds nobody behind a call that waits for another bucket', async () => {
      const rig = new RateLimitRig({
        limits: [
          { requests: 100, per: '1s' },
          { requests: 1, per: '1s', by: 'agent' },
        ],
        maxWait: '5s',
      });
      const [first, second] = [rig.start({ agentId: 'a' }), rig.start({ agentId: 'a' })];
      const other = await rig.call({ agentId: 'b' });
      expect([first.wentAt(), second.wentAt(), other.wentAt()]).toEqual([0, undefined, 0]);
      await rig.until(2_000);
      expect(second.wentAt()).toBeCloseTo(1_000, 0);
    });

    it('lets nobody overtake those who wait for the same bucket', async () => {
      const rig = new RateLimitRig(waiting);
      await rig.admitted(1);
      const first = rig.start();
      await rig.until(1_000 - 1);
      const second = rig.start();
      await rig.until(5_000);
      expect(first.wentAt()).toBeLessThan(second.wentAt() ?? 0);
    });

    it('lets those who wait go as soon as something is given back', async () => {
      const rig = new RateLimitRig({ requests: 1, per: '1m', maxWait: '2m' });
      rig.start({}, after(rig.clock, 500, refuse()));
      const next = rig.start();
      await rig.until(499);
      expect(next.wentAt()).toBeUndefined();
      await rig.until(500);
      expect(next.wentAt()).toBe(500);
    });
  });

  describe('over a reload', () => {
    it('keeps what was taken, and those who wait', async () => {
      const rig = new RateLimitRig({ requests: 2, per: '10s', maxWait: '1m' });
      await rig.admitted(2);
      const early = rig.start();
      rig.reload({ requests: 2, per: '10s', maxWait: '1m', maxQueue: 7 });
      const late = rig.start();
      await rig.until(4_999);
      expect([early.wentAt(), late.wentAt()]).toEqual([undefined, undefined]);
      await rig.until(20_000);
      expect(early.wentAt()).toBeCloseTo(5_000, 0);
      expect(late.wentAt()).toBeCloseTo(10_000, 0);
    });

    it('leaves the old configuration in force until the first call', async () => {
      const rig = new RateLimitRig({ ...ONE_A_SECOND, maxWait: '1m' });
      await rig.admitted(1);
      const old = rig.policy;
      rig.reload({ ...ONE_A_SECOND, maxWait: '0s' });
      rig.policy = old;
      const { outcome } = await rig.call();
      expect(outcome()).toBeUndefined();
      await rig.until(2_000);
    });

    it('applies a new amount to the same bucket', async () => {
      const rig = new RateLimitRig({ requests: 10, per: '10s' });
      await rig.admitted(10);
      rig.reload({ requests: 100, per: '10s' });
      await rig.until(1_000);
      // What is owed is a time: 9 s of 10 are still to pay.
      expect(await rig.admitted(100)).toBe(10);
    });
  });

  it.each([
    [{ per: '1s' }, 'expected requests, tokens or limits'],
    [{ requests: 1 }, 'per'],
    [{ requests: 1, tokens: 5, per: '1s', burst: 3 }, 'give each a limit of its own'],
    [
      {
        limits: [
          { requests: 1, per: '60s' },
          { requests: 2, per: '1m' },
        ],
      },
      'limits that differ',
    ],
    [{ limits: [] }, 'limits'],
    [{ requests: 0, per: '1s' }, 'requests'],
    [{ limits: [{ requests: 1, per: '1s' }], requests: 1, per: '1s' }, 'limits'],
  ])('refuses %j', (options, told) => {
    const { error } = rateLimitSchema.safeParse(options);
    expect(JSON.stringify(error?.issues)).toContain(told);
  });
});
