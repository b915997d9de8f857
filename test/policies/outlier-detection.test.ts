import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/core/outcome.ts';
import { outlierDetection } from '../../src/policies/outlier-detection.ts';
import { settle } from '../support/fake-clock.ts';
import { ENDPOINT, attemptAt, bodyOf, fail, finish, judged, refuse, respond } from '../support/policy-kit.ts';
import { leave, take } from '../support/restart.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { Roster } from '../../src/endpoints/roster.ts';
import { policyContract } from './contract.ts';
import { OutlierRig, refused, urlOf } from './outlier-rig.ts';

policyContract({
  module: outlierDetection,
  options: {},
  scope: (clock) => attemptAt(clock),
  deps: ({ clock, events }) => {
    const roster = new Roster({ clock, emit: events.emit, upstream: 'main' });
    const members = [ENDPOINT.name, 'http://two.test'].map((name) => ({ member: roster.member(name) }));
    roster.follow({ members, panicking: false, canSpare: () => true });
    return { ejections: roster };
  },
});

const failures = (count: number): Outcome[] => Array.from({ length: count }, () => respond(500));

describe('what takes an endpoint out', () => {
  it('one attempt that does not reach it', async () => {
    const rig = new OutlierRig('ab');
    await rig.call('a', refused());
    expect(rig.inUse).toBe('b');
    expect(rig.member('a').state).toBe('ejected');
    const [{ forMs } = { forMs: 0 }] = rig.events.of('endpoint-ejected');
    expect(rig.events.of('endpoint-ejected')).toEqual([
      { upstream: 'main', endpoint: urlOf('a'), reason: 'connect', count: 1, forMs },
    ]);
    expect(forMs).toBeGreaterThanOrEqual(10_000);
    expect(forMs).toBeLessThanOrEqual(11_000);
  });

  it.each([
    fail('connection_timeout', { requestSent: 'no' }),
    fail('host_unreachable', { requestSent: 'no' }),
    fail('tls_certificate_error', { requestSent: 'no' }),
    fail('connection_reset'),
  ])('so does $reason', async (outcome) => {
    const rig = new OutlierRig('ab');
    await rig.call('a', outcome);
    expect(rig.told('endpoint-ejected')).toEqual(['a connect']);
  });

  it('a reset does not, where another call has succeeded meanwhile', async () => {
    const rig = new OutlierRig('ab');
    const poison = await rig.hold('a');
    await rig.clock.advance(5);
    await rig.call('a');
    await poison(fail('connection_reset'));
    expect(rig.inUse).toBe('ab');
  });

  it('five failures in a row', async () => {
    const rig = new OutlierRig('ab');
    await rig.calls('a', ...failures(4), respond(), ...failures(4));
    expect(rig.inUse).toBe('ab');
    await rig.call('a', respond(503));
    expect(rig.told('endpoint-ejected')).toEqual(['a consecutive']);
  });

  it('timeouts, and answers that break off', async () => {
    const rig = new OutlierRig('ab');
    await rig.calls('a', fail('first_byte_timeout'), fail('idle_timeout'), fail('protocol_error'));
    for (let n = 0; n < 2; n++) {
      const answer = respond();
      await (
        await rig.hold('a')
      )(answer);
      bodyOf(answer).breakOff();
      await settle();
    }
    expect(rig.told('endpoint-ejected')).toEqual(['a consecutive']);
  });

  it('a share of failures that is proven, at few calls', async () => {
    const rig = new OutlierRig('ab', { options: { consecutiveFailures: false, aboveSiblings: false } });
    for (let n = 0; n < 4; n++) await rig.calls('a', ...failures(6), respond());
    expect(rig.told('endpoint-ejected')).toContain('a ratio');
  });

  it('failing more than its siblings, at five calls a minute', async () => {
    const rig = new OutlierRig('ab', { options: { failureRatio: false, consecutiveFailures: false } });
    for (let n = 0; n < 7 && rig.inUse === 'ab'; n++) {
      await rig.clock.advance(24_000);
      await rig.call('a', n % 4 === 3 ? respond() : respond(500));
      await rig.call('b');
    }
    expect(rig.told('endpoint-ejected')).toEqual(['a siblings']);
  });

  it('not, where siblings fail as often', async () => {
    const rig = new OutlierRig('ab', { options: { consecutiveFailures: false } });
    for (let n = 0; n < 20; n++)
      for (const name of 'ab') await rig.call(name, n % 2 === 0 ? respond() : respond(500));
    expect(rig.told('endpoint-ejected')).toEqual([]);
  });

  const blameless: readonly [string, () => Outcome][] = [
    ['refusals of ours', () => refuse('no_credential')],
    ['clients that leave', () => fail('client_aborted')],
    ['spares that lost', () => fail('superseded')],
    ['callers with too little time', () => fail('deadline_exceeded', judged(verdictOf('abandoned')))],
    ['rate limits', () => respond(429)],
    ['requests at fault', () => respond(400)],
    ['things that are not there', () => respond(404)],
    ['used-up quotas', () => respond(402)],
    ['kept-alive connections that closed', () => fail('connection_reset', { staleConnection: true })],
    ['want of files here', () => fail('connection_limit', { requestSent: 'no' })],
  ];

  it.each(blameless)('never %s', async (_, make) => {
    const rig = new OutlierRig('ab', { options: { connectFailures: 1, consecutiveFailures: 1 } });
    for (let n = 0; n < 20; n++) {
      const attempt = attemptAt(rig.clock, undefined, rig.set.members[0]?.endpoint);
      const outcome = make();
      if (outcome.kind === 'failure') attempt.verdict = outcome.verdict;
      const given = await rig.policy.run(attempt, () => Promise.resolve(outcome), attempt.cancellation);
      expect(given).toBe(outcome);
      finish(outcome);
    }
    await settle();
    expect(rig.events.all).toEqual([]);
  });

  it('nor clients that leave in the middle of an answer', async () => {
    const rig = new OutlierRig('ab', { options: { consecutiveFailures: 1 } });
    for (let n = 0; n < 5; n++) {
      const answer = respond();
      await (
        await rig.hold('a')
      )(answer);
      bodyOf(answer).failByClient();
    }
    await settle();
    expect(rig.inUse).toBe('ab');
  });
});

describe('what it spares', () => {
  it('a lone endpoint, without as much as counting', async () => {
    const rig = new OutlierRig('a');
    await rig.calls('a', refused(), ...failures(20));
    expect(rig.events.all).toEqual([]);
    expect(rig.policy.snapshot()).toEqual({ ejected: 0, endpoints: [] });
  });

  it('the last one that is well, and says so once', async () => {
    const rig = new OutlierRig('ab');
    await rig.call('a', refused());
    await rig.calls('b', refused(), ...failures(10));
    expect(rig.told('endpoint-ejected')).toEqual(['a connect']);
    expect(rig.told('ejection-withheld')).toEqual(['b last']);
    expect(rig.inUse).toBe('b');
    await rig.calls('b', respond(), ...failures(5));
    expect(rig.told('ejection-withheld')).toEqual(['b last', 'b last']);
  });

  it('the last one, when the others are not well for other reasons', async () => {
    const rig = new OutlierRig('abc');
    rig.member('b').setHealth('unhealthy');
    rig.member('c').operate('draining');
    await rig.call('a', refused());
    expect(rig.told('ejection-withheld')).toEqual(['a last']);
    rig.member('b').setHealth('healthy');
    await rig.call('a', refused());
    expect(rig.told('endpoint-ejected')).toEqual(['a connect']);
  });

  it('not the last of a group, where another group can take over', async () => {
    const rig = new OutlierRig({ a: {}, b: { priority: 1 } });
    await rig.call('a', refused());
    expect(rig.inUse).toBe('b');
    await rig.call('b', refused());
    expect(rig.told('ejection-withheld')).toEqual(['b last']);
  });

  it('what a panic would use anyway', async () => {
    const rig = new OutlierRig('abc', {
      set: { panicThreshold: 0.5, slowStart: { windowMs: 0, from: 1 } },
      options: { maxEjected: 1 },
    });
    await rig.call('a', refused());
    await rig.call('b', refused());
    expect(rig.told('ejection-withheld')).toEqual(['b last']);
    expect(rig.set.panicking).toBe(false);
  });

  it('more than the share that may be out, rounded up', async () => {
    const rig = new OutlierRig('abcdef', { options: { maxEjected: 0.4 } });
    for (const name of 'abcdef') await rig.call(name, refused());
    expect(rig.inUse).toBe('def');
    expect(rig.told('ejection-withheld')).toEqual(['d cap', 'e cap', 'f cap']);
    const small = new OutlierRig('ab', { options: { maxEjected: 0.1 } });
    await small.call('a', refused());
    expect(small.inUse).toBe('b');
  });

  it('whatever happens, somebody is left and nobody panics', async () => {
    const step = fc.record({
      at: fc.constantFrom(...'abcd'),
      what: fc.constantFrom<(() => Outcome)[]>(refused, () => respond(500), respond),
      ms: fc.integer({ min: 0, max: 8_000 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.constantFrom(0.1, 0.5, 1),
        async (steps, maxEjected) => {
          const rig = new OutlierRig('abcd', { options: { maxEjected, consecutiveFailures: 2 } });
          for (const { at, what, ms } of steps) {
            await rig.call(at, what());
            await rig.clock.advance(ms);
            expect(rig.set.panicking).toBe(false);
            const ejected = rig.policy.snapshot()['ejected'] as number;
            expect(ejected).toBeLessThanOrEqual(Math.ceil(4 * maxEjected));
            expect(ejected).toBeLessThan(4);
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('how it comes back', () => {
  it('by the first call after its time, and only that one until it has ended', async () => {
    const rig = new OutlierRig('ab');
    await rig.call('a', refused());
    expect(rig.chosen(8)).toBe('b');
    await rig.untilDue('a');
    const probe = await rig.send();
    expect(probe.at).toBe('a');
    expect(rig.chosen(8)).toBe('b');
    const good = respond();
    await probe.answer(good);
    expect(rig.member('a').state).toBe('ejected');
    finish(good);
    await settle();
    expect(rig.told('endpoint-returned')).toEqual(['a probe']);
    expect(rig.inUse).toBe('ab');
  });

  it('does so without any call when it is looked at, as due', async () => {
    const rig = new OutlierRig('ab');
    await rig.call('a', refused());
    await rig.untilDue('a');
    expect(rig.policy.snapshot()['endpoints']).toEqual([
      {
        ...{ endpoint: urlOf('a'), state: 'due', reason: 'connect', count: 1, forMs: 0 },
        ...{ consecutiveFailures: 0, calls: 0, failures: 0 },
      },
    ]);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('a probe that fails keeps it out for longer', async () => {
    const rig = new OutlierRig('ab');
    await rig.call('a', refused());
    await rig.untilDue('a');
    await rig.call('a', respond(500));
    expect(rig.told('endpoint-ejected')).toEqual(['a connect', 'a probe']);
    const [, again] = rig.events.of('endpoint-ejected');
    expect(again?.count).toBe(2);
    expect(again?.forMs).toBeGreaterThanOrEqual(20_000);
    expect(rig.inUse).toBe('b');
  });

  it('the end of calls from before changes nothing', async () => {
    const rig = new OutlierRig('ab');
    const [good, bad] = [await rig.hold('a'), await rig.hold('a')];
    await rig.call('a', refused());
    await bad(refused());
    await good(respond());
    expect(rig.inUse).toBe('b');
    expect(rig.events.of('endpoint-ejected')).toHaveLength(1);
  });

  it('rather a call that may be made again is risked, and never a spare or a second try', async () => {
    const rig = new OutlierRig('ab');
    await rig.call('a', refused());
    await rig.untilDue('a');
    expect(rig.chosen(4, { request: { method: 'POST' } })).toBe('b');
    const spare = { backoffMs: 0, freshConnection: false, spare: true };
    const { set, clock } = rig;
    const { exchange } = attemptAt(clock);
    exchange.nextAttempt = spare;
    expect(set.pick(exchange)?.name).not.toBe(urlOf('a'));
    const { exchange: retried } = attemptAt(clock, undefined, set.members[1]?.endpoint);
    expect(set.pick(retried)?.name).toBe(urlOf('b'));
    expect(rig.pick()).toBe(urlOf('a'));
  });

  it('any call will do when no other has come for as long as it was out', async () => {
    const rig = new OutlierRig('ab');
    await rig.call('a', refused());
    await rig.untilDue('a');
    await rig.clock.advance(10_000);
    expect(rig.chosen(4, { request: { method: 'POST' } })).toBe('a');
  });

  it('several probes, one after the other, where so many are wanted', async () => {
    const rig = new OutlierRig('ab', { options: { probes: 2 } });
    await rig.call('a', refused());
    await rig.untilDue('a');
    await rig.call('a');
    expect(rig.inUse).toContain('a');
    expect(rig.told('endpoint-returned')).toEqual([]);
    await rig.call('a');
    expect(rig.told('endpoint-returned')).toEqual(['a probe']);
  });

  it('a client that leaves its probe decides nothing, and the next one waits', async () => {
    const rig = new OutlierRig('ab');
    await rig.call('a', refused());
    await rig.untilDue('a');
    await rig.call('a', fail('client_aborted'));
    expect(rig.chosen(4)).toBe('b');
    await rig.clock.advance(10_000);
    expect(rig.pick()).toBe(urlOf('a'));
  });

  it('a long stream is a success when it has lasted for probeTimeout', async () => {
    const rig = new OutlierRig('ab');
    await rig.call('a', refused());
    await rig.untilDue('a');
    const answer = respond();
    await (
      await rig.hold('a')
    )(answer);
    await rig.clock.advance(9_999);
    expect(rig.chosen(4)).toBe('b');
    await rig.clock.advance(1);
    expect(rig.inUse).toBe('ab');
    expect(rig.told('endpoint-returned')).toEqual(['a probe']);
    bodyOf(answer).breakOff();
    await settle();
    expect(rig.inUse).toBe('ab');
  });

  it('an active check that reaches it again brings it back after its time, if that was what it was out for', async () => {
    const rig = new OutlierRig('abc', { options: { maxEjected: 1 } });
    await rig.call('a', refused());
    await rig.calls('b', ...failures(5));
    rig.member('a').setHealth('healthy');
    expect(rig.inUse).toBe('c');
    await rig.clock.advance(11_000);
    for (const name of 'ab') rig.member(name).setHealth('healthy');
    expect(rig.told('endpoint-returned')).toEqual(['a check']);
  });

  it('its ejections are forgotten while all goes well', async () => {
    const rig = new OutlierRig('ab');
    for (let n = 0; n < 2; n++) {
      await rig.call('a', refused());
      await rig.untilDue('a');
      await rig.call('a');
    }
    expect(rig.events.of('endpoint-ejected').map(({ count }) => count)).toEqual([1, 2]);
    await rig.clock.advance(600_000);
    await rig.call('a', refused());
    expect(rig.events.of('endpoint-ejected').at(-1)?.count).toBe(1);
  });

  it('slowly, where endpoints that come begin slowly', async () => {
    const rig = new OutlierRig('ab', {
      set: { panicThreshold: 0, slowStart: { windowMs: 10_000, from: 0.1 } },
    });
    await rig.clock.advance(60_000);
    await rig.call('a', refused());
    await rig.untilDue('a');
    await rig.call('a');
    expect(rig.set.members[0]?.weight).toBeCloseTo(0.1);
  });

  it('when others are gone, it is tried by whatever call comes', async () => {
    const rig = new OutlierRig({ a: {}, b: { priority: 1 } });
    await rig.call('b', refused());
    await rig.untilDue('b');
    expect(rig.chosen(4)).toBe('a');
    rig.member('a').setHealth('unhealthy');
    expect(rig.pick()).toBe(urlOf('b'));
  });
});

describe('reloads and restarts', () => {
  it('other options keep what is out, and hold for what comes', async () => {
    const rig = new OutlierRig('abc');
    await rig.call('a', refused());
    await rig.calls('b', ...failures(3));
    rig.reload({ consecutiveFailures: 4, probes: 2, maxEjected: 0.3 });
    await rig.call('b', respond(500));
    expect(rig.told('ejection-withheld')).toEqual(['b cap']);
    expect(rig.inUse).toBe('bc');
    await rig.untilDue('a');
    await rig.calls('a', respond());
    expect(rig.told('endpoint-returned')).toEqual([]);
    await rig.call('a', respond());
    expect(rig.told('endpoint-returned')).toEqual(['a probe']);
  });

  it('another window begins anew', async () => {
    const rig = new OutlierRig('ab');
    await rig.calls('a', ...failures(4));
    rig.reload({ window: '1m' });
    await rig.call('a', respond(500));
    expect(rig.inUse).toBe('ab');
  });

  it('nothing stays out when nobody would let it back', async () => {
    const rig = new OutlierRig('ab');
    await rig.call('a', refused());
    rig.set.takeOver({ ejecting: false });
    expect(rig.inUse).toBe('ab');
  });

  it('nothing is taken out by calls from before when nobody would let it back', async () => {
    const rig = new OutlierRig('ab');
    const call = await rig.hold('a');
    rig.set.takeOver({ ejecting: false });
    await call(refused());
    expect(rig.inUse).toBe('ab');
    expect(rig.events.all).toEqual([]);
    rig.set.takeOver();
    await rig.call('a', refused());
    expect(rig.inUse).toBe('b');
  });

  it('an endpoint that left is as new when it comes back, whatever calls from before bring', async () => {
    const rig = new OutlierRig('ab');
    const call = await rig.hold('a');
    rig.roster.forget(rig.set.members[0]!.endpoint);
    const again = rig.member('a');
    await call(refused());
    expect(again.state).toBe('available');
    expect(rig.events.all).toEqual([]);
  });

  it('a restart keeps who is out, for how long, how often, and what was counted', async () => {
    const before = new OutlierRig('abc');
    await before.call('a', refused());
    await before.calls('b', respond(), ...failures(4));
    await before.clock.advance(4_000);
    const left = leave({ part: before.policy, clock: before.clock });
    const after = new OutlierRig('abc', { options: { maxEjected: 1 } });
    expect(take(left, { part: after.policy, clock: after.clock }, 1_000)).toBe(true);
    expect(after.inUse).toBe('bc');
    const [row] = after.policy.snapshot()['endpoints'] as { count: number; forMs: number }[];
    expect(row?.count).toBe(1);
    expect(row?.forMs).toBeLessThanOrEqual(6_000);
    await after.call('b', respond(500));
    expect(after.told('endpoint-ejected')).toEqual(['b consecutive']);
    await after.untilDue('a');
    await after.call('a');
    expect(after.told('endpoint-returned')).toEqual(['a probe']);
  });

  it('no time from a file is longer than the options allow', async () => {
    const before = new OutlierRig('ab', { options: { ejectFor: '1h', maxEjectFor: '1h' } });
    await before.call('a', refused());
    const left = leave({ part: before.policy, clock: before.clock });
    const after = new OutlierRig('ab', { options: { maxEjectFor: '20s' } });
    take(left, { part: after.policy, clock: after.clock });
    await after.clock.advance(22_000);
    expect(after.pick()).toBe(urlOf('a'));
  });
});
