import { describe, expect, it } from 'vitest';
import { VERDICT_CLASSES, verdictOf } from '../../src/core/verdict.ts';
import { fallback, fallbackTargets } from '../../src/policies/fallback.ts';
import {
  NO_BODY,
  after,
  bodyOf,
  cancelledOutcome,
  exchangeAt,
  fail,
  identity,
} from '../support/policy-kit.ts';
import { judged, refuse, respond, silence, textOf } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';
import { LadderRig } from './ladder-rig.ts';

const STATIC = { static: { body: 'sorry' } } as const;

policyContract({
  module: fallback,
  options: [STATIC],
  scope: (clock) => exchangeAt(clock),
});
policyContract({
  module: fallback,
  options: {
    after: '100ms',
    on: { statuses: ['4xx'] },
    steps: [{ upstream: 'other' }, { upstream: 'last' }],
  },
  scope: (clock) => exchangeAt(clock),
  deps: (rig) => {
    const scripts = {
      other: rig.other(
        () => respond(503),
        () => respond(),
        (scope, cancellation) => silence(scope, cancellation),
        () => respond(429),
      ),
      last: rig.other(
        () => respond(502),
        (scope, cancellation) => after(rig.clock, 50, respond())(scope, cancellation),
      ),
    };
    return {
      sendTo: (name) => ({ identity: identity(name), send: scripts[name as keyof typeof scripts].next }),
    };
  },
});

describe('fallback', () => {
  describe('climbs', () => {
    it('in order, until a step answers', async () => {
      const rig = new LadderRig([{ upstream: 'a' }, { upstream: 'b' }, { upstream: 'c' }]);
      const [a, b, c] = [rig.upstream('a', fail()), rig.upstream('b', respond(200)), rig.upstream('c')];
      const outcome = await rig.outcomeOf(respond(503));
      expect(outcome).toBe(b.given[0]);
      expect([a, b, c].map(({ calls }) => calls.length)).toEqual([1, 1, 0]);
      expect(rig.taken).toEqual([
        ['a', 'status', false],
        ['b', 'connection_reset', true],
      ]);
    });

    it('not at all for a good answer', async () => {
      const rig = new LadderRig([{ upstream: 'a' }]);
      const a = rig.upstream('a');
      const answer = respond(200);
      expect(await rig.outcomeOf(answer)).toBe(answer);
      expect(a.calls).toHaveLength(0);
      expect(rig.taken).toEqual([]);
    });

    it('to a static answer, which always is one', async () => {
      const rig = new LadderRig([{ upstream: 'a' }, STATIC]);
      rig.upstream('a', refuse('circuit_open'));
      const outcome = await rig.outcomeOf(fail('connection_refused'));
      expect(outcome).toMatchObject({ kind: 'response', from: 'fallback', head: { status: 200 } });
      expect(rig.taken).toEqual([
        ['a', 'connection_refused', false],
        ['static', 'circuit_open', true],
      ]);
    });

    it('to a static answer whose own status would be a trigger', async () => {
      const rig = new LadderRig({
        on: { statuses: ['5xx'] },
        steps: [{ static: { status: 503, body: 'later' } }],
      });
      const first = respond(503);
      const outcome = await rig.outcomeOf(first);
      expect(textOf(outcome)).toBe('later');
      expect(bodyOf(first).discards).toBe(1);
      expect(rig.taken).toEqual([['static', 'status', true]]);
    });
  });

  describe('when every step fails', () => {
    it('returns the first’s own outcome and discards the others', async () => {
      const rig = new LadderRig([{ upstream: 'a' }, { upstream: 'b' }]);
      const [first, second, third] = [respond(503), respond(502), respond(429)];
      rig.upstream('a', second);
      rig.upstream('b', third);
      expect(await rig.outcomeOf(first)).toBe(first);
      expect([first, second, third].map((one) => bodyOf(one).discards)).toEqual([0, 1, 1]);
    });

    it('discards the first’s own when a step answers', async () => {
      const rig = new LadderRig([{ upstream: 'a' }]);
      const first = respond(503);
      rig.upstream('a', respond(200));
      await rig.outcomeOf(first);
      expect(bodyOf(first).discards).toBe(1);
    });
  });

  describe('is led there', () => {
    const LEADS = ['transient', 'throttled', 'overloaded', 'quota', 'auth', 'refused'];
    for (const name of VERDICT_CLASSES) {
      const leads = LEADS.includes(name);
      it(`${leads ? '' : 'not '}by ${name}, by default`, async () => {
        const outcome = await new LadderRig([STATIC]).outcomeOf(respond(500, judged(verdictOf(name))));
        expect(outcome).toMatchObject({ from: leads ? 'fallback' : 'upstream' });
      });
    }

    it.each([
      ['an open circuit', () => refuse('circuit_open')],
      ['no endpoint', () => refuse('no_endpoint')],
      ['a deadline', () => fail('deadline_exceeded')],
      ['a timeout', () => fail('first_byte_timeout')],
      ['a refused connection', () => fail('connection_refused')],
      ['a certificate that is no good', () => fail('tls_certificate_error')],
    ])('by %s', async (_, make) => {
      expect(await new LadderRig([STATIC]).outcomeOf(make())).toMatchObject({ from: 'fallback' });
    });

    it('by the classes that the operator lists, and no others', async () => {
      const options = { on: { classes: ['throttled'] }, steps: [STATIC] };
      expect(await new LadderRig(options).outcomeOf(respond(429))).toMatchObject({ from: 'fallback' });
      expect(await new LadderRig(options).outcomeOf(respond(503))).toMatchObject({ from: 'upstream' });
    });

    it.each([
      [404, 'fallback'],
      [410, 'fallback'],
      [418, 'fallback'],
      [400, 'upstream'],
      [200, 'upstream'],
    ])('by statuses that the operator lists, whatever their class (%i: %s)', async (status, from) => {
      const options = { on: { statuses: [404, '410-419'] }, steps: [STATIC] };
      expect(await new LadderRig(options).outcomeOf(respond(status))).toMatchObject({ from });
    });

    it('by reasons that the operator lists, whatever their class', async () => {
      const options = { on: { classes: [], reasons: ['connection_refused'] }, steps: [STATIC] };
      expect(await new LadderRig(options).outcomeOf(fail('connection_refused'))).toMatchObject({
        from: 'fallback',
      });
      expect(await new LadderRig(options).outcomeOf(fail('connection_reset'))).toMatchObject({
        kind: 'failure',
      });
    });

    it('never by a client that has left', async () => {
      const rig = new LadderRig({ on: { reasons: ['client_aborted'] }, steps: [STATIC] });
      expect(await rig.outcomeOf(cancelledOutcome('client-aborted'))).toMatchObject({
        reason: 'client_aborted',
      });
      expect(rig.taken).toEqual([]);
    });
  });

  describe('after a delay', () => {
    const SLOW = { after: '800ms', steps: [STATIC] } as const;

    it('answers from the ladder, and cancels the first', async () => {
      const rig = new LadderRig(SLOW);
      const { exchange, primary, outcome } = rig.start({}, silence);
      await rig.clock.advance(799);
      expect(outcome()).toBeUndefined();
      await rig.clock.advance(1);
      expect(outcome()).toMatchObject({ from: 'fallback' });
      expect(primary.calls[0]?.cancellation.reason).toBe('superseded');
      expect(exchange.cancellation.cancelled).toBe(false);
      expect(rig.taken).toEqual([['static', 'slow', true]]);
      expect(rig.clock.pendingTimers).toBe(0);
    });

    it('does not when the answer begins in time, however long its body takes', async () => {
      const rig = new LadderRig(SLOW);
      const answer = respond();
      const { outcome } = rig.start({}, after(rig.clock, 799, answer));
      await rig.clock.advance(799);
      expect(outcome()).toBe(answer);
      await rig.clock.advance(60_000);
      expect(bodyOf(answer).ended).toBe(false);
      expect(rig.taken).toEqual([]);
    });

    it('still climbs at once when the first fails before', async () => {
      const rig = new LadderRig(SLOW);
      expect(await rig.outcomeOf(respond(503))).toMatchObject({ from: 'fallback' });
      expect(rig.taken).toEqual([['static', 'status', true]]);
      expect(rig.clock.pendingTimers).toBe(0);
    });

    it('waits on for the first where no step could serve', async () => {
      const rig = new LadderRig({ after: '800ms', steps: [{ upstream: 'a' }] });
      const a = rig.upstream('a');
      const answer = respond();
      const body = { ...NO_BODY, replayable: false };
      const { outcome } = rig.start({ body }, after(rig.clock, 900, answer));
      await rig.clock.advance(900);
      expect(outcome()).toBe(answer);
      expect(a.calls).toHaveLength(0);
    });

    it('returns the first failure of the ladder when all of it fails', async () => {
      const rig = new LadderRig({ after: '800ms', steps: [{ upstream: 'a' }, { upstream: 'b' }] });
      const [fromA, fromB] = [respond(503), respond(502)];
      rig.upstream('a', fromA);
      rig.upstream('b', fromB);
      const { outcome } = rig.start({}, silence);
      await rig.clock.advance(800);
      expect(outcome()).toBe(fromA);
      expect(bodyOf(fromB).discards).toBe(1);
    });

    it('gives up the first only when it has said that it gives up, and drops what it may bring', async () => {
      const rig = new LadderRig(SLOW);
      const late = respond(200);
      const { outcome } = rig.start({}, (_, cancellation) => {
        return new Promise((resolve) => cancellation.onCancel(() => resolve(late)));
      });
      await rig.clock.advance(800);
      expect(outcome()).toMatchObject({ from: 'fallback' });
      expect(bodyOf(late).discards).toBe(1);
    });

    it('asks nobody when the client leaves at the same moment', async () => {
      const rig = new LadderRig({ after: '800ms', steps: [{ upstream: 'a' }] });
      const a = rig.upstream('a');
      const { outcome } = rig.start({}, (exchange, cancellation) => {
        return new Promise((resolve) =>
          cancellation.onCancel((reason) => {
            exchange.cancellation.cancel('client-aborted');
            resolve(cancelledOutcome(reason));
          }),
        );
      });
      await rig.clock.advance(800);
      expect(outcome()).toMatchObject({ verdict: { class: 'abandoned' } });
      expect(a.calls).toHaveLength(0);
    });
  });

  describe('when the client leaves during a step', () => {
    it('cancels it, goes no further, and does not call that an answer', async () => {
      const rig = new LadderRig([{ upstream: 'a' }, STATIC]);
      const a = rig.upstream('a', silence);
      const first = respond(503);
      const { exchange, outcome } = rig.start({}, first);
      await rig.clock.advance(100);
      exchange.cancellation.cancel('client-aborted');
      await rig.clock.advance(0);
      expect(a.calls[0]?.cancellation.reason).toBe('client-aborted');
      expect(outcome()).toMatchObject({ reason: 'client_aborted' });
      expect(bodyOf(first).discards).toBe(1);
      expect(rig.taken).toEqual([['a', 'status', false]]);
    });
  });

  it('names the upstreams it may ask, in order', () => {
    const steps = [{ upstream: 'b' }, STATIC, { upstream: 'a' }];
    expect(fallbackTargets(fallback.schema.parse(steps))).toEqual(['b', 'a']);
    expect(fallbackTargets(fallback.schema.parse({ after: '1s', steps }))).toEqual(['b', 'a']);
  });

  it('shows its steps', () => {
    const { policy } = new LadderRig({ after: '1s', steps: [{ upstream: 'a' }, STATIC] });
    expect(policy.snapshot()).toEqual({ afterMs: 1_000, steps: ['a', 'static'] });
    expect(new LadderRig([STATIC]).policy.snapshot()).toEqual({ afterMs: null, steps: ['static'] });
  });
});
