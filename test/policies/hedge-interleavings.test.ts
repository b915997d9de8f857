/** Hedged calls in any order of events: whatever happens when, one outcome comes of each, and nothing is left. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Cancellation } from '../../src/core/cancellation.ts';
import type { CancelReason } from '../../src/core/cancellation.ts';
import type { Attempt } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { settle } from '../support/fake-clock.ts';
import { bodyOf, fail, refuse, respond, silence } from '../support/policy-kit.ts';
import { HedgeRig, inTime } from './hedge-rig.ts';
import type { Call } from './hedge-rig.ts';

const OUTCOMES: readonly (() => Outcome)[] = [
  () => respond(),
  () => respond(404),
  () => respond(409),
  () => respond(429),
  () => respond(503),
  () => fail('connection_reset'),
  () => fail('connection_refused', { requestSent: 'no' }),
  () => fail('connection_reset', { staleConnection: true }),
  () => refuse('credentials_cooling'),
  () => refuse('circuit_open'),
];

const attempt = fc.record({
  /** Round numbers, so that things happen at the same time. */
  afterMs: fc.nat({ max: 12 }).map((n) => n * 50),
  outcome: fc.option(fc.constantFrom(...OUTCOMES), { freq: 8 }),
});

const call = fc.record({
  startsAt: fc.nat({ max: 6 }).map((n) => n * 50),
  attempts: fc.array(attempt, { minLength: 1, maxLength: 5 }),
  leavesAfterMs: fc.option(fc.nat({ max: 12 }).map((n) => n * 50)),
  because: fc.constantFrom<CancelReason>('client-aborted', 'deadline', 'shutdown'),
  method: fc.constantFrom('GET', 'GET', 'GET', 'POST'),
  end: fc.constantFrom<'complete' | 'breakOff' | 'discard'>('complete', 'breakOff', 'discard'),
});

const options = fc.record({
  after: fc.constantFrom<unknown>('50ms', '100ms', { minimumSamples: 1, min: '50ms', max: '200ms' }),
  maxSpares: fc.integer({ min: 1, max: 5 }),
  budget: fc.constantFrom({ floor: 1 }, { floor: 100 }),
});

it('hedge: leaves no timer, listener or answer behind, in any order of events', async () => {
  await fc.assert(
    fc.asyncProperty(options, fc.array(call, { minLength: 1, maxLength: 4 }), async (given, plans) => {
      const rig = new HedgeRig(given);
      const running: { call: Call; cancellation: Cancellation; plan: (typeof plans)[number] }[] = [];
      for (const plan of plans) {
        const cancellation = new Cancellation();
        rig.clock.setTimer(plan.startsAt, () => {
          const steps = plan.attempts.map(({ afterMs, outcome }) =>
            outcome ? freshly(rig, afterMs, outcome) : silence,
          );
          const parts = { cancellation, request: { method: plan.method } };
          running.push({ call: rig.start(parts, ...steps), cancellation, plan });
        });
        if (plan.leavesAfterMs !== null)
          rig.clock.setTimer(plan.startsAt + plan.leavesAfterMs, () => cancellation.cancel(plan.because));
      }
      await rig.clock.advance(3_000);
      for (const { call, cancellation, plan } of running) {
        // Those that nobody answers and nobody leaves.
        cancellation.cancel('client-aborted');
        await settle();
        const outcome = call.outcome();
        if (!outcome) throw new Error('a call never ended');
        expectConserved(call, outcome, plan.leavesAfterMs !== null);
        if (outcome.kind === 'response') bodyOf(outcome)[plan.end]();
        await settle();
        expect(cancellation.listenerCount).toBe(0);
        expect(call.exchange.attempts.map(({ number }) => number)).toEqual(
          call.exchange.attempts.map((_, n) => n + 1),
        );
        for (const one of call.exchange.attempts) expect(one.status ?? one.reason).toBeDefined();
      }
      expect(rig.clock.pendingTimers).toBe(0);
      expect(rig.events.of('hedge-won').length).toBeLessThanOrEqual(rig.events.of('hedge-fired').length);
      expect(Number(rig.policy.snapshot()['budgetRemaining'])).toBeGreaterThanOrEqual(0);
    }),
    { numRuns: 400 },
  );
});

const freshly =
  (rig: HedgeRig, ms: number, make: () => Outcome) =>
  (attempt: Attempt, cancellation: Cancellation): Promise<Outcome> =>
    inTime(rig, ms, make())(attempt, cancellation);

/** Every answer that was given out is the one returned, or was released. */
function expectConserved({ wire, exchange }: Call, outcome: Outcome, mayLeave: boolean): void {
  for (const given of wire.given) {
    if (given.kind !== 'response') continue;
    const returned = outcome.kind === 'response' && outcome.body === given.body;
    expect(bodyOf(given).discards, `${given.head.status}`).toBe(returned ? 0 : 1);
  }
  expect(wire.calls.length).toBeLessThanOrEqual(6);
  const good = exchange.attempts.filter(({ verdict }) => verdict?.result === 'success');
  if (good.length > 0 && !mayLeave) expect(outcome.verdict.result).not.toBe('failure');
}
