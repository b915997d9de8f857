import { describe, expect, it } from 'vitest';
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { VERDICT_CLASSES, verdictOf } from '../../src/core/verdict.ts';
import { retry } from '../../src/policies/retry.ts';
import { NO_BODY, bodyOf, exchangeAt, fail, judged, refuse, respond } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';
import { PLAIN, POST, RetryRig, stale, unsent } from './retry-rig.ts';

policyContract({ module: retry, options: {}, scope: (clock) => exchangeAt(clock) });
policyContract({
  module: retry,
  options: { maxRetries: 5, budget: false, classes: ['transient', 'permanent'], backoff: { initial: '0s' } },
  scope: (clock) => exchangeAt(clock),
});

describe('retry', () => {
  describe('tries again', () => {
    it('until an answer is good, and returns that one', async () => {
      const answer = respond(200);
      const { script, outcome } = await new RetryRig().toTheEnd({}, fail(), respond(503), answer);
      expect(script.calls).toHaveLength(3);
      expect(outcome()).toBe(answer);
    });

    it('as often as it may, and then returns the last outcome', async () => {
      const all = [respond(503), respond(503), respond(502)] as const;
      const run = new RetryRig({ maxRetries: 2 });
      const { script, outcome } = await run.toTheEnd({}, ...all);
      expect(script.calls).toHaveLength(3);
      expect(outcome()).toBe(all[2]);
      expect(all.map(({ body }) => bodyOf({ ...respond(), body }).discards)).toEqual([1, 1, 0]);
      expect(run.refusals).toEqual(['exhausted']);
    });

    it('not at all with no retries', async () => {
      const run = new RetryRig({ maxRetries: 0 });
      const { script } = await run.toTheEnd({}, fail());
      expect(script.calls).toHaveLength(1);
      expect(run.refusals).toEqual(['exhausted']);
    });

    it('after delays that double, up to the cap', async () => {
      const backoff = { initial: '100ms', max: '500ms', jitter: 'none' } as const;
      const { script } = await new RetryRig({ maxRetries: 5, budget: false, backoff }).toTheEnd({}, fail());
      expect(script.gaps).toEqual([100, 200, 400, 500, 500]);
    });

    it('1 s, 2 s, 4 s', async () => {
      const backoff = { initial: '1s', max: '60s', jitter: 'none' } as const;
      const { script } = await new RetryRig({ maxRetries: 3, backoff }).toTheEnd({}, fail());
      expect(script.gaps).toEqual([1_000, 2_000, 4_000]);
    });

    it('at a constant pace for async work: 5 × 1 s', async () => {
      const backoff = { kind: 'constant', initial: '1s', jitter: 'none' } as const;
      const { script } = await new RetryRig({ maxRetries: 5, budget: false, backoff }).toTheEnd({}, fail());
      expect(script.gaps).toEqual([1_000, 1_000, 1_000, 1_000, 1_000]);
    });

    it('with 0 to 10 % of proportional jitter', async () => {
      const backoff = { initial: '1s', jitter: 'proportional', jitterRatio: 0.1 } as const;
      const { script } = await new RetryRig({ maxRetries: 1, backoff }).toTheEnd({}, fail());
      expect(script.gaps[0]).toBeGreaterThan(1_000);
      expect(script.gaps[0]).toBeLessThanOrEqual(1_100);
    });

    it('after full jitter by default', async () => {
      const gaps = new Set<number>();
      const run = new RetryRig({ budget: false, maxRetries: 1 });
      for (let i = 0; i < 20; i++) {
        const { script } = await run.toTheEnd({}, fail());
        gaps.add(script.gaps[0] ?? 0);
      }
      expect(gaps.size).toBeGreaterThan(15);
      expect(Math.max(...gaps)).toBeLessThan(250);
    });

    it('and tells of each with its cause and delay', async () => {
      const run = new RetryRig({ ...PLAIN, budget: false });
      await run.toTheEnd({}, fail(), respond(429, { headers: ['retry-after', '1'] }), respond());
      expect(run.events.of('retry-scheduled').map(({ cause, delayMs }) => [cause, delayMs])).toEqual([
        ['transient', 250],
        ['throttled', 1_000],
      ]);
    });

    it('and tells the next attempt what was waited', async () => {
      const seen: unknown[] = [];
      const remember = (exchange: Exchange): Outcome => {
        seen.push(exchange.nextAttempt);
        return fail();
      };
      await new RetryRig(PLAIN).toTheEnd({}, remember);
      expect(seen).toEqual([
        { backoffMs: 0, freshConnection: false },
        { backoffMs: 250, freshConnection: false },
        { backoffMs: 500, freshConnection: false },
      ]);
    });
  });

  describe('by class', () => {
    const RETRIED = ['transient', 'throttled', 'overloaded'];
    for (const name of VERDICT_CLASSES) {
      const retried = RETRIED.includes(name);
      it(`${retried ? 'retries' : 'does not retry'} ${name} by default`, async () => {
        const run = new RetryRig();
        const outcome = name === 'ok' ? respond() : respond(500, judged(verdictOf(name)));
        const { script } = await run.toTheEnd({}, outcome);
        expect(script.calls).toHaveLength(retried ? 3 : 1);
        if (!retried) expect(run.refusals).toEqual([]);
      });
    }

    it('retries the classes that the operator lists, and no others', async () => {
      const options = { classes: ['permanent'] };
      expect((await new RetryRig(options).toTheEnd({}, respond(404))).script.calls).toHaveLength(3);
      expect((await new RetryRig(options).toTheEnd({}, respond(503))).script.calls).toHaveLength(1);
    });

    it('retries what may help and yet is no sign of ill health, such as a 408', async () => {
      expect((await new RetryRig().toTheEnd({}, respond(408))).script.calls).toHaveLength(3);
    });

    it('never retries a refusal of the sidecar itself: load must go away, not come again', async () => {
      const refusal = refuse('circuit_open', { verdict: verdictOf('transient') });
      const { script, outcome } = await new RetryRig().toTheEnd({}, refusal);
      expect(script.calls).toHaveLength(1);
      expect(outcome()).toBe(refusal);
    });
  });

  describe('refuses', () => {
    it('a body that cannot be sent again', async () => {
      const run = new RetryRig();
      const { script } = await run.toTheEnd({ body: { ...NO_BODY, replayable: false } }, unsent());
      expect(script.calls).toHaveLength(1);
      expect(run.refusals).toEqual(['not-replayable']);
    });

    it('a body that has become too large in the meantime', async () => {
      const run = new RetryRig();
      const body = { ...NO_BODY, replayable: true };
      const { script } = await run.toTheEnd({ body }, fail(), () => {
        body.replayable = false;
        return fail();
      });
      expect(script.calls).toHaveLength(2);
      expect(run.refusals).toEqual(['not-replayable']);
    });

    it('what may have been done already', async () => {
      const run = new RetryRig();
      const { script } = await run.toTheEnd(POST, fail());
      expect(script.calls).toHaveLength(1);
      expect(run.refusals).toEqual(['unsafe']);
    });

    it('what the budget does not allow', async () => {
      const run = new RetryRig({ budget: { ratio: 0, floor: 1 }, ...PLAIN });
      const { script } = await run.toTheEnd({}, fail());
      expect(script.calls).toHaveLength(2);
      expect(run.refusals).toEqual(['budget']);
    });

    it('what could not begin before the deadline', async () => {
      const run = new RetryRig(PLAIN);
      const { exchange, script, outcome } = run.start({}, (one) => {
        one.deadlineAt = run.clock.now() + 250;
        return fail();
      });
      await run.clock.advance(0);
      expect(outcome()).toBeDefined();
      expect(script.calls).toHaveLength(1);
      expect(exchange.deadlineAt).toBe(run.clock.now() + 250);
      expect(run.refusals).toEqual(['deadline']);
    });

    it('not yet what can begin a millisecond before the deadline', async () => {
      const run = new RetryRig(PLAIN);
      const at = run.clock.now() + 251;
      const { script } = await run.toTheEnd({}, (exchange) => {
        exchange.deadlineAt = at;
        return fail();
      });
      expect(script.calls).toHaveLength(2);
    });

    it('what would begin later than maxElapsed after the first attempt', async () => {
      const backoff = { initial: '1s', jitter: 'none' } as const;
      const run = new RetryRig({ backoff, maxRetries: 9, budget: false, maxElapsed: '3s' });
      const { script } = await run.toTheEnd({}, fail());
      expect(script.calls.map(({ at }) => at - (script.calls[0]?.at ?? 0))).toEqual([0, 1_000, 3_000]);
      expect(run.refusals).toEqual(['max-elapsed']);
    });

    it('nothing for its age where maxElapsed is off', async () => {
      const backoff = { kind: 'constant', initial: '100s', max: '100s', jitter: 'none' } as const;
      const run = new RetryRig({ backoff, maxRetries: 4, budget: false, maxElapsed: false });
      expect((await run.toTheEnd({}, fail())).script.calls).toHaveLength(5);
    });

    it('to wait longer than maxRetryAfter', async () => {
      const run = new RetryRig({ maxRetryAfter: '2s' });
      const answer = respond(429, { headers: ['retry-after', '3'] });
      const { script, outcome } = await run.toTheEnd({}, answer);
      expect(script.calls).toHaveLength(1);
      expect(outcome()).toBe(answer);
      expect(bodyOf(answer).discards).toBe(0);
      expect(run.refusals).toEqual(['retry-after']);
    });

    it('takes nothing from the budget for what it refuses for another reason', async () => {
      const run = new RetryRig({ maxElapsed: '1ms', ...PLAIN });
      await run.toTheEnd({}, fail());
      expect(run.refusals).toEqual(['max-elapsed']);
      expect(run.policy.budgetRemaining).toBe(3);
    });
  });

  describe('Retry-After', () => {
    it('is a floor under the delay', async () => {
      const { script } = await new RetryRig(PLAIN).toTheEnd(
        {},
        respond(503, { headers: ['retry-after', '5'] }),
        respond(503, { headers: ['retry-after-ms', '3'] }),
        respond(),
      );
      expect(script.gaps).toEqual([5_000, 500]);
    });

    it('is obeyed up to maxRetryAfter, even beyond the cap of the backoff', async () => {
      const answer = respond(429, { headers: ['retry-after', '30'] });
      const { script } = await new RetryRig().toTheEnd({}, answer, respond());
      expect(script.gaps).toEqual([30_000]);
    });

    it('is compared with the deadline', async () => {
      const run = new RetryRig();
      const answer = respond(429, { headers: ['retry-after', '5'] });
      const { script } = await run.toTheEnd({}, (exchange) => {
        exchange.deadlineAt = run.clock.now() + 5_000;
        return answer;
      });
      expect(script.calls).toHaveLength(1);
      expect(run.refusals).toEqual(['deadline']);
    });

    it('of 0 means at once, after the usual delay', async () => {
      const answer = respond(429, { headers: ['retry-after', '0'] });
      const { script } = await new RetryRig(PLAIN).toTheEnd({}, answer, respond());
      expect(script.gaps).toEqual([250]);
    });
  });

  describe('when it is cancelled while it waits', () => {
    it.each([
      ['client-aborted', 'client_aborted'],
      ['deadline', 'deadline_exceeded'],
      ['shutdown', 'shutting_down'],
    ] as const)('(%s), it settles at once as %s', async (cancelled, reason) => {
      const run = new RetryRig({ backoff: { initial: '8s', jitter: 'none' } });
      const failed = respond(503);
      const { exchange, script, outcome } = run.start({}, failed);
      await run.clock.advance(4_000);
      expect(outcome()).toBeUndefined();
      exchange.cancellation.cancel(cancelled);
      await run.clock.advance(0);
      expect(outcome()).toMatchObject({ kind: 'failure', reason, verdict: { class: 'abandoned' } });
      expect(run.clock.pendingTimers).toBe(0);
      await run.clock.advance(60_000);
      expect(script.calls).toHaveLength(1);
      expect(bodyOf(failed).discards).toBe(1);
    });

    it('makes no further try where there was nothing to wait for, either', async () => {
      const run = new RetryRig({ backoff: { initial: '0s' } });
      const { script, outcome } = run.start({}, (exchange) => {
        exchange.cancellation.cancel('client-aborted');
        return stale();
      });
      await run.clock.advance(0);
      expect(script.calls).toHaveLength(1);
      expect(outcome()).toMatchObject({ verdict: { class: 'abandoned' } });
    });
  });

  it('does not notice the wall clock', async () => {
    const run = new RetryRig({ ...PLAIN, budget: false });
    const { script } = run.start({}, fail(), fail(), respond());
    run.clock.wallOffsetMs = 3_600_000;
    await run.clock.advance(250);
    run.clock.wallOffsetMs = -3_600_000;
    await run.clock.advance(500);
    expect(script.gaps).toEqual([250, 500]);
  });

  it('gives two exchanges delays of their own', async () => {
    const run = new RetryRig({ ...PLAIN, budget: false });
    const first = run.start({}, fail());
    await run.clock.advance(250);
    const second = run.start({}, fail());
    await run.clock.advance(10_000);
    expect(first.script.gaps).toEqual([250, 500]);
    expect(second.script.gaps).toEqual([250, 500]);
  });
});
