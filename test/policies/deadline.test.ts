import { describe, expect, it } from 'vitest';
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { deadline } from '../../src/policies/deadline.ts';
import { settle } from '../support/fake-clock.ts';
import { Script, after, attemptAt, bodyOf, exchangeAt, fail, finish, kit } from '../support/policy-kit.ts';
import { refuse, respond, silence } from '../support/policy-kit.ts';
import type { ExchangeParts, Step } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';

policyContract({
  module: deadline,
  options: {},
  scope: (clock) => exchangeAt(clock),
  timersDuringBody: 1,
});

const STREAM = { headers: ['content-type', 'text/event-stream'] };

function rig(options: object) {
  const { clock, deps, events } = kit();
  const policy = deadline.build(deadline.schema.parse(options), deps, undefined);
  const start = (parts: ExchangeParts, ...steps: Step<Exchange>[]) => {
    const script = new Script<Exchange>(clock, ...steps);
    const exchange = exchangeAt(clock, parts);
    let outcome: Outcome | undefined;
    const pending = policy.run(exchange, script.next, exchange.cancellation);
    void pending.then((settled) => (outcome = settled));
    return { exchange, script, outcome: () => outcome };
  };
  return { clock, events, start };
}

describe('deadline', () => {
  it('ends an exchange at its instant, and says what was under way', async () => {
    const { clock, start, events } = rig({ after: '5s' });
    const { exchange, outcome } = start({}, silence);
    expect(exchange.deadlineAt).toBe(clock.now() + 5_000);
    await clock.advance(4_999);
    expect(outcome()).toBeUndefined();
    await clock.advance(1);
    expect(outcome()).toMatchObject({ kind: 'failure', reason: 'deadline_exceeded', requestSent: 'maybe' });
    expect(events.of('deadline-exceeded')).toEqual([{ exchange, upstream: 'main', afterMs: 5_000 }]);
  });

  it('is a failure that other policies may act upon', async () => {
    const { clock, start } = rig({ after: '5s' });
    const { outcome } = start({}, silence);
    await clock.advance(5_000);
    expect(outcome()?.verdict).toEqual({ class: 'transient', result: 'failure' });
  });

  it('names the last failure when one was under way', async () => {
    const { clock, start } = rig({ after: '5s' });
    const { outcome } = start({}, (_, cancellation) => {
      const late = fail('connection_refused', { requestSent: 'no' });
      return new Promise((resolve) => cancellation.onCancel(() => resolve(late)));
    });
    await clock.advance(5_000);
    expect(outcome()).toMatchObject({
      reason: 'deadline_exceeded',
      requestSent: 'no',
      detail: 'last: connection_refused',
    });
  });

  it('tells below that it was the deadline', async () => {
    const { clock, start } = rig({ after: '5s' });
    const { script } = start({}, silence);
    await clock.advance(5_000);
    expect(script.calls[0]?.cancellation.reason).toBe('deadline');
  });

  it('covers waiting between attempts, for it does not look at what happens below', async () => {
    const { clock, start } = rig({ after: '5s' });
    const { outcome } = start({}, after(clock, 60_000, respond()));
    await clock.advance(5_000);
    expect(outcome()).toMatchObject({ reason: 'deadline_exceeded' });
  });

  describe('with a hint of the caller', () => {
    it.each([
      ['2s', 5_000, 2_000],
      ['5s', 2_000, 2_000],
      [false, 3_000, 3_000],
    ] as const)(
      'takes the smaller of policy (%s) and hint (%i ms): %i ms',
      async (ownBound, hint, expected) => {
        const { clock, start } = rig({ after: ownBound });
        const { outcome } = start({ callerTimeoutMs: hint }, silence);
        await clock.advance(expected - 1);
        expect(outcome()).toBeUndefined();
        await clock.advance(1);
        expect(outcome()).toMatchObject({ reason: 'deadline_exceeded' });
      },
    );

    it('counts it from when the request came, not from when its turn came', async () => {
      const { clock, start } = rig({ after: '60s' });
      const startedAt = clock.now() - 1_500;
      const { outcome } = start({ callerTimeoutMs: 2_000, startedAt }, silence);
      await clock.advance(499);
      expect(outcome()).toBeUndefined();
      await clock.advance(1);
      expect(outcome()).toMatchObject({ reason: 'deadline_exceeded' });
    });

    it('tells below that it was the caller’s own bound, so that the upstream is not blamed', async () => {
      const { clock, start } = rig({ after: '60s' });
      const { script, outcome } = start({ callerTimeoutMs: 5 }, silence);
      await clock.advance(5);
      expect(script.calls[0]?.cancellation.reason).toBe('caller-deadline');
      expect(outcome()).toMatchObject({ reason: 'deadline_exceeded', verdict: { class: 'transient' } });
    });

    it('refuses at once when it has passed already', async () => {
      const { clock, start, events } = rig({});
      const { script, outcome } = start({ callerTimeoutMs: 100, startedAt: clock.now() - 100 }, respond());
      await settle();
      expect(outcome()).toMatchObject({
        kind: 'rejection',
        reason: 'deadline_exceeded',
        by: 'deadline',
        verdict: { class: 'refused' },
      });
      expect(script.calls).toHaveLength(0);
      expect(events.names).toEqual(['deadline-exceeded']);
      expect(clock.pendingTimers).toBe(0);
    });

    it('ignores it where the operator says so', async () => {
      const { clock, start } = rig({ after: '5s', callerHint: false });
      const { exchange, outcome } = start({ callerTimeoutMs: 10 }, silence);
      expect(exchange.deadlineAt).toBe(clock.now() + 5_000);
      await clock.advance(4_999);
      expect(outcome()).toBeUndefined();
    });

    it('bounds nothing when neither gives a bound', async () => {
      const { clock, start } = rig({ after: false });
      const { exchange, outcome } = start({}, silence);
      expect(exchange.deadlineAt).toBe(Number.POSITIVE_INFINITY);
      expect(clock.pendingTimers).toBe(0);
      await clock.advance(86_400_000);
      expect(outcome()).toBeUndefined();
    });
  });

  describe('once the answer has begun', () => {
    it('lets a stream go on for as long as it likes', async () => {
      const { clock, start, events } = rig({ after: '5s' });
      const { outcome } = start({}, after(clock, 4_000, respond(200, STREAM)));
      await clock.advance(4_000);
      expect(clock.pendingTimers).toBe(0);
      await clock.advance(86_400_000);
      expect(outcome()).toMatchObject({ kind: 'response' });
      expect(events.all).toEqual([]);
    });

    it('still lets a client that leaves end the stream', async () => {
      const { clock, start } = rig({ after: '5s' });
      const answer = respond(200, STREAM);
      const { exchange } = start({}, answer);
      await clock.advance(60_000);
      exchange.cancellation.cancel('client-aborted');
      expect(await answer.body.completion).toMatchObject({ end: 'client-aborted' });
    });

    it('cuts a body that is not a stream', async () => {
      const { clock, start, events } = rig({ after: '5s' });
      const answer = respond(200, { headers: ['content-type', 'application/json'] });
      const { exchange } = start({}, answer);
      await clock.advance(4_999);
      expect(bodyOf(answer).ended).toBe(false);
      await clock.advance(1);
      expect(await answer.body.completion).toMatchObject({ end: 'timed-out', reason: 'deadline_exceeded' });
      expect(events.of('deadline-exceeded')).toHaveLength(1);
      expect(exchange.cancellation.cancelled).toBe(false);
    });

    it('says nothing of a body that is here in full, and waits for a ladder or for a slow client', async () => {
      const { clock, start, events } = rig({ after: '5s' });
      const answer = respond(503, { attempt: 1 });
      start({}, (exchange) => {
        attemptAt(clock, exchange).phase = 'ended';
        return answer;
      });
      await clock.advance(60_000);
      expect(events.all).toEqual([]);
      expect(bodyOf(answer).ended).toBe(false);
    });

    it('looks at the attempt that brought the body, whatever became of others', async () => {
      const { clock, start, events } = rig({ after: '5s' });
      const answer = respond(503, { attempt: 2 });
      start({}, (exchange) => {
        attemptAt(clock, exchange).phase = 'ended';
        attemptAt(clock, exchange).phase = 'receiving';
        return answer;
      });
      await clock.advance(5_000);
      expect(await answer.body.completion).toMatchObject({ end: 'timed-out' });
      expect(events.names).toEqual(['deadline-exceeded']);
    });

    it('has nothing more to say after the body', async () => {
      const { clock, start, events } = rig({ after: '5s' });
      const { outcome } = start({}, respond());
      await settle();
      finish(outcome() as Outcome);
      await clock.advance(60_000);
      expect(events.all).toEqual([]);
    });
  });

  it('leaves a failure that came in time as it is', async () => {
    const { start } = rig({ after: '5s' });
    const failure = fail('connection_reset');
    const { outcome } = start({}, failure);
    await settle();
    expect(outcome()).toBe(failure);
  });

  it('leaves a refusal that came in time as it is', async () => {
    const { start } = rig({ after: '5s' });
    const refusal = refuse('circuit_open', { retryAfterMs: 3 });
    const { outcome } = start({}, refusal);
    await settle();
    expect(outcome()).toBe(refusal);
  });

  it('does not call a departure of the client a deadline', async () => {
    const { clock, start } = rig({ after: '5s' });
    const { exchange, outcome } = start({}, silence);
    await clock.advance(1_000);
    exchange.cancellation.cancel('client-aborted');
    await clock.advance(60_000);
    expect(outcome()).toMatchObject({ reason: 'client_aborted', verdict: { class: 'abandoned' } });
  });

  it('does not notice the wall clock', async () => {
    const { clock, start } = rig({ after: '5s' });
    const { outcome } = start({}, silence);
    clock.wallOffsetMs = 3_600_000;
    await clock.advance(4_999);
    expect(outcome()).toBeUndefined();
    clock.wallOffsetMs = -3_600_000;
    await clock.advance(1);
    expect(outcome()).toMatchObject({ reason: 'deadline_exceeded' });
  });

  it('shows its bound', () => {
    const { deps } = kit();
    const policy = deadline.build(deadline.schema.parse({ after: '90s' }), deps, undefined);
    expect(policy.snapshot()).toEqual({ afterMs: 90_000, callerHint: true });
  });
});
