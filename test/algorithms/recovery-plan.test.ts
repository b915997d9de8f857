import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RecoveryPlan } from '../../src/algorithms/recovery-plan.ts';
import type { RecoveryRule } from '../../src/algorithms/recovery-plan.ts';
import { seededRandom } from '../../src/core/random.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const RULE: RecoveryRule = { after: 3, initialMs: 10_000, maxMs: 5 * MINUTE, maxPerHour: 6 };
/** No jitter. */
const even = { next: () => 0 };

const planOf = (...rules: RecoveryRule[]): RecoveryPlan => new RecoveryPlan(rules, even);

/** Fails every `stepMs`, follows what is due; when it ran. */
function runs(plan: RecoveryPlan, { from = 0, until, stepMs = 1_000 }: Record<string, number>): number[] {
  const at: number[] = [];
  for (let now = from; now < (until ?? 0); now += stepMs)
    for (const index of plan.failed(100, now).due) {
      plan.ran(index, now);
      at.push(now);
    }
  return at;
}

it('an action is due from its number of failed checks on', () => {
  const plan = planOf(RULE, { ...RULE, after: 6 });
  expect(plan.failed(2, 0).due).toEqual([]);
  expect(plan.failed(3, 0).due).toEqual([0]);
  expect(plan.failed(7, 0).due).toEqual([0, 1]);
});

it('the wait doubles from run to run, up to its limit', () => {
  const plan = planOf({ ...RULE, maxMs: 40_000, maxPerHour: 100 });
  expect(runs(plan, { until: 200_000 })).toEqual([0, 10_000, 30_000, 70_000, 110_000, 150_000, 190_000]);
});

it('no hour has more runs than the limit, and that is told once', () => {
  const plan = planOf({ ...RULE, initialMs: 1_000, maxMs: 1_000, maxPerHour: 3 });
  expect(runs(plan, { until: HOUR })).toEqual([0, 1_000, 2_000]);
  const again = planOf({ ...RULE, initialMs: 1_000, maxMs: 1_000, maxPerHour: 1 });
  again.ran(0, 0);
  expect(again.failed(3, 2_000).exhausted).toEqual([0]);
  expect(again.failed(4, 3_000).exhausted).toEqual([]);
  expect(again.failed(5, HOUR).due).toEqual([0]);
});

it('an agent that comes back only to fail again goes on with the longer waits', () => {
  const plan = planOf(RULE);
  expect(plan.ran(0, 0)).toBe(1);
  expect(plan.ran(0, 10_000)).toBe(2);
  plan.well(12_000);
  expect(plan.failed(3, 20_000).due).toEqual([]);
  expect(plan.failed(3, 30_000).due).toEqual([0]);
  expect(plan.ran(0, 30_000)).toBe(1);
  expect(plan.about(0, 30_000)).toEqual({ runsInHour: 3, waitMs: 40_000 });
});

it('an agent that was well for the longest wait begins anew', () => {
  const plan = planOf(RULE);
  for (const at of [0, 10_000, 30_000]) plan.ran(0, at);
  plan.well(40_000);
  plan.well(40_000 + RULE.maxMs);
  plan.failed(3, 400_000);
  plan.ran(0, 400_000);
  expect(plan.about(0, 400_000).waitMs).toBe(RULE.initialMs);
});

it('waits are lengthened by a tenth at most', () => {
  const plan = new RecoveryPlan([RULE], seededRandom(7));
  plan.ran(0, 0);
  const { waitMs } = plan.about(0, 0);
  expect(waitMs).toBeGreaterThan(RULE.initialMs);
  expect(waitMs).toBeLessThanOrEqual(RULE.initialMs * 1.1);
});

it('whatever fails when, no window of an hour has more runs than allowed', () => {
  const gaps = fc.array(fc.integer({ min: 1, max: 20 * MINUTE }), { maxLength: 60 });
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 5 }), (steps, maxPerHour) => {
      const plan = planOf({ after: 1, initialMs: 1, maxMs: 1, maxPerHour });
      const ranAt: number[] = [];
      let now = 0;
      for (const gap of steps) {
        now += gap;
        if (plan.failed(1, now).due.length === 0) continue;
        plan.ran(0, now);
        ranAt.push(now);
      }
      for (const end of ranAt)
        expect(ranAt.filter((at) => at <= end && end - at < HOUR).length).toBeLessThanOrEqual(maxPerHour);
    }),
  );
});
