import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import { circuitBreaker } from '../../src/policies/circuit-breaker.ts';
import { settle } from '../support/fake-clock.ts';
import { bodyOf, cancelledOutcome, exchangeAt, fail, refuse, respond } from '../support/policy-kit.ts';
import { BreakerRig } from './breaker-rig.ts';
import { policyContract } from './contract.ts';

policyContract({ module: circuitBreaker, options: {}, scope: (clock) => exchangeAt(clock) });
policyContract({
  module: circuitBreaker,
  options: { consecutiveFailures: 1, openFor: '50ms', slowCallRatio: 0.5, slowCall: '200ms', probes: 2 },
  scope: (clock) => exchangeAt(clock),
});

const ONLY_CONSECUTIVE = { failureRatio: false } as const;
const ONLY_RATIO = { consecutiveFailures: false } as const;

describe('circuit-breaker', () => {
  describe('opens', () => {
    it('after 5 consecutive failures', async () => {
      const rig = new BreakerRig(ONLY_CONSECUTIVE);
      await rig.fail(4);
      expect(rig.state).toBe('closed');
      await rig.fail();
      expect(rig.state).toBe('open');
    });

    it('not when a success comes between them', async () => {
      const rig = new BreakerRig(ONLY_CONSECUTIVE);
      for (let i = 0; i < 5; i++) {
        await rig.fail(4);
        await rig.succeed();
      }
      expect(rig.state).toBe('closed');
    });

    it('at a failure ratio of one half, from a minimum of calls on', async () => {
      const rig = new BreakerRig({ ...ONLY_RATIO, failureRatio: 0.5, minimumCalls: 20 });
      for (let i = 0; i < 9; i++) {
        await rig.succeed();
        await rig.fail();
      }
      await rig.succeed();
      expect(rig.state).not.toBe('open');
      await rig.fail();
      expect(rig.state).toBe('open');
    });

    it('not below the ratio, however many calls fail in all', async () => {
      const rig = new BreakerRig({ ...ONLY_RATIO, failureRatio: 0.5 });
      for (let i = 0; i < 50; i++) {
        await rig.succeed(2);
        await rig.fail();
      }
      expect(rig.state).not.toBe('open');
    });

    it('when bodies break off, for then there was no answer', async () => {
      const rig = new BreakerRig(ONLY_CONSECUTIVE);
      for (let i = 0; i < 5; i++) {
        const answer = respond();
        rig.start(answer);
        await settle();
        bodyOf(answer).breakOff();
        await settle();
      }
      expect(rig.state).toBe('open');
    });

    it('never, where no rule is on', async () => {
      const rig = new BreakerRig({ consecutiveFailures: false, failureRatio: false });
      await rig.fail(100);
      expect(rig.state).toBe('closed');
    });

    it.each([
      ['a 404', () => respond(404)],
      ['a 401', () => respond(401)],
      ['a 408, which blames the client', () => respond(408)],
      ['a 429', () => respond(429)],
      ['a 402', () => respond(402)],
      ['a departure of the client', () => cancelledOutcome('client-aborted')],
      ['an answer that was not needed any more', () => cancelledOutcome('superseded')],
      ['the end of the sidecar', () => cancelledOutcome('shutdown')],
      ['too little time given by the caller', () => cancelledOutcome('caller-deadline')],
      ['a refusal inside', () => refuse('no_endpoint')],
      [
        'an idle connection that closed at its reuse',
        () => fail('connection_reset', { staleConnection: true }),
      ],
    ])('not for %s, and does not forget failures for it either', async (_, make) => {
      const rig = new BreakerRig(ONLY_CONSECUTIVE);
      await rig.fail(4);
      for (let i = 0; i < 50; i++) await rig.call(make());
      expect(rig.state).toBe('closed');
      await rig.fail();
      expect(rig.state).toBe('open');
    });

    it.each([
      ['client-aborted', 'closed'],
      ['caller-deadline', 'closed'],
      ['superseded', 'closed'],
      ['deadline', 'open'],
      ['idle-timeout', 'open'],
    ] as const)('or not when bodies end by %s: %s', async (cancelled, state) => {
      const rig = new BreakerRig(ONLY_CONSECUTIVE);
      for (let i = 0; i < 5; i++) {
        const answer = respond();
        rig.start(answer);
        await settle();
        bodyOf(answer).failByCancel(cancelled);
        await settle();
      }
      expect(rig.state).toBe(state);
    });
  });

  describe('counts over true time', () => {
    it('5 failures, one a minute, do not open a window of 10 s', async () => {
      const rig = new BreakerRig({ ...ONLY_RATIO, failureRatio: 0.5, window: '10s' });
      for (let i = 0; i < 20; i++) {
        await rig.fail();
        await rig.clock.advance(60_000);
      }
      expect(rig.state).toBe('closed');
    });

    it('an idle window ages out by itself', async () => {
      const rig = new BreakerRig({ ...ONLY_RATIO, failureRatio: 0.5, window: '10s' });
      await rig.fail(4);
      await rig.clock.advance(10_000);
      expect(rig.policy.snapshot()).toMatchObject({ calls: 0, failures: 0, slowCalls: 0 });
      await rig.fail(4);
      expect(rig.state).toBe('closed');
      await rig.fail();
      expect(rig.state).toBe('open');
    });

    it('and does not notice a wall clock that jumps by an hour, in whatever state', async () => {
      const rig = new BreakerRig({});
      const jump = (ms: number): void => {
        rig.clock.wallOffsetMs += ms;
      };
      await rig.fail(4);
      jump(3_600_000);
      expect(rig.state).not.toBe('open');
      await rig.fail();
      for (const ms of [3_600_000, -7_200_000]) {
        jump(ms);
        expect((await rig.call()).passed()).toBe(false);
      }
      await rig.clock.advance(14_999);
      expect((await rig.call()).passed()).toBe(false);
      jump(-3_600_000);
      await rig.clock.advance(1);
      await rig.succeed();
      expect(rig.state).toBe('closed');
    });
  });

  describe('while open', () => {
    it('refuses at once, asks nothing of the upstream, and says when to come back', async () => {
      const rig = new BreakerRig({});
      await rig.trip();
      await rig.clock.advance(5_000);
      const { exchange, outcome, passed } = await rig.call();
      expect(passed()).toBe(false);
      expect(outcome()).toEqual({
        kind: 'rejection',
        reason: 'circuit_open',
        by: 'circuit-breaker',
        verdict: { class: 'refused', result: 'neutral' },
        retryAfterMs: 10_000,
      });
      expect(rig.kit.events.of('breaker-refused')).toEqual([{ exchange, upstream: 'main' }]);
    });

    it('shows itself', async () => {
      const rig = new BreakerRig({});
      await rig.trip();
      await rig.clock.advance(5_000);
      expect(rig.policy.snapshot()).toEqual({
        state: 'open',
        override: 'auto',
        openings: 1,
        openForMs: 10_000,
        calls: 5,
        failures: 5,
        slowCalls: 0,
      });
    });

    it('stays open for 60 s if that is what the operator wants', async () => {
      const rig = new BreakerRig({ openFor: '60s' });
      await rig.trip();
      await rig.clock.advance(59_999);
      expect((await rig.call()).passed()).toBe(false);
      await rig.clock.advance(1);
      expect((await rig.call()).passed()).toBe(true);
    });

    it('is not held open longer, nor opened earlier, by calls from before', async () => {
      const rig = new BreakerRig({});
      const late = [respond(), respond(), respond(503)] as const;
      const calls = late.map((answer) => rig.start(() => rig.clock.advance(0).then(() => answer)));
      await rig.trip();
      const until = rig.policy.snapshot()['openForMs'];
      await settle();
      expect(calls.every(({ passed }) => passed())).toBe(true);
      bodyOf(late[0]).complete();
      bodyOf(late[1]).breakOff();
      await settle();
      expect(rig.state).toBe('open');
      expect(rig.policy.snapshot()['openForMs']).toBe(until);
      expect(rig.changes.filter(([, to]) => to === 'open')).toHaveLength(1);
    });
  });

  describe('from one opening to the next', () => {
    async function openTimes(rig: BreakerRig, openings: number): Promise<number[]> {
      const times: number[] = [];
      await rig.trip();
      for (let i = 0; i < openings; i++) {
        const openForMs = Number(rig.policy.snapshot()['openForMs']);
        times.push(openForMs);
        // What is shown is rounded.
        await rig.clock.advance(openForMs + 1);
        await rig.fail();
      }
      return times;
    }

    it('stays open longer by as much each time, up to the cap', async () => {
      const rig = new BreakerRig({ openFor: '15s', maxOpenFor: '50s' });
      expect(await openTimes(rig, 6)).toEqual([15_000, 30_000, 45_000, 50_000, 50_000, 50_000]);
    });

    it('starts again at the first step once it has closed', async () => {
      const rig = new BreakerRig({});
      await openTimes(rig, 3);
      await rig.clock.advance(300_000);
      await rig.succeed();
      expect(rig.state).toBe('closed');
      expect(await openTimes(rig, 2)).toEqual([15_000, 30_000]);
    });

    it('adds up to a tenth of jitter, so that many sidecars do not probe in step', async () => {
      const all = await Promise.all(
        [1, 2, 3, 4].map((seed) => openTimes(new BreakerRig({}, { random: seededRandom(seed) }), 30)),
      );
      for (const times of all) {
        times.forEach((ms, n) => {
          const plain = Math.min(300_000, (n + 1) * 15_000);
          expect(ms).toBeGreaterThanOrEqual(plain);
          expect(ms).toBeLessThanOrEqual(Math.round(plain * 1.1));
        });
      }
      expect(new Set(all.map(([first]) => first)).size).toBe(4);
      expect(new Set(all.map((times) => times.at(-1))).size).toBe(4);
    });

    it('tells of every change once, with the time it stays open', async () => {
      const rig = new BreakerRig({});
      await openTimes(rig, 1);
      await rig.clock.advance(30_000);
      await rig.succeed();
      expect(rig.changes.filter(([, to]) => to !== 'degraded')).toEqual([
        ['closed', 'open', 15_000],
        ['open', 'half-open', 0],
        ['half-open', 'open', 30_000],
        ['open', 'half-open', 0],
        ['half-open', 'closed', 0],
      ]);
    });
  });

  it('counts a failure that is no other sign than a bad certificate', async () => {
    const rig = new BreakerRig(ONLY_CONSECUTIVE);
    for (let i = 0; i < 5; i++) await rig.call(fail('tls_certificate_error', { requestSent: 'no' }));
    expect(rig.state).toBe('open');
  });
});
