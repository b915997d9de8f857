import { CircuitState } from 'cockatiel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RatioRule } from '../../src/algorithms/trip-rules.ts';
import type { RatioRuleOptions } from '../../src/algorithms/trip-rules.ts';

const OPTIONS: RatioRuleOptions = {
  failureRatio: 0.5,
  slowCallRatio: false,
  minimumCalls: 4,
  windowMs: 10_000,
  degradedShare: 0.5,
};

function rule(options: Partial<RatioRuleOptions> = {}) {
  const time = { now: 0 };
  return { time, rule: new RatioRule({ ...OPTIONS, ...options }, () => time.now) };
}

describe('RatioRule', () => {
  it('trips at its share, from its minimum of calls on', () => {
    const { rule: one } = rule();
    one.success(CircuitState.Closed);
    one.success(CircuitState.Closed);
    expect(one.failure(CircuitState.Closed)).toBe(false);
    expect(one.failure(CircuitState.Closed)).toBe(true);
  });

  it('says so exactly when a recount would, whatever came before', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 10 }),
        fc.array(fc.boolean(), { maxLength: 40 }),
        (failureRatio, minimumCalls, calls) => {
          const { rule: one } = rule({ failureRatio, minimumCalls });
          let failures = 0;
          calls.forEach((ok, before) => {
            if (ok) return one.success(CircuitState.Closed);
            failures += 1;
            const expected = before + 1 >= minimumCalls && failures >= failureRatio * (before + 1);
            expect(one.failure(CircuitState.Closed)).toBe(expected);
            return undefined;
          });
        },
      ),
    );
  });

  it('counts slow calls by their own share', () => {
    const { rule: one } = rule({ failureRatio: false, slowCallRatio: 0.75 });
    one.success(CircuitState.Closed);
    const slowly = (): boolean => {
      one.success(CircuitState.Closed);
      return one.slow(false);
    };
    expect([slowly(), slowly(), slowly()]).toEqual([false, false, true]);
    expect(one.counts()).toEqual({ calls: 4, failures: 0, slowCalls: 3 });
  });

  it('counts a slow call that was given up as a call', () => {
    const { rule: one } = rule({ failureRatio: false, slowCallRatio: 1 });
    expect([1, 2, 3, 4].map(() => one.slow(true))).toEqual([false, false, false, true]);
    expect(one.counts().calls).toBe(4);
  });

  it('trips for nothing where both shares are off', () => {
    const { rule: one } = rule({ failureRatio: false });
    for (let i = 0; i < 50; i++) {
      expect(one.failure(CircuitState.Closed)).toBe(false);
      expect(one.slow(false)).toBe(false);
    }
    expect(one.degraded).toBe(false);
  });

  it('is degraded at a share of its threshold, with the same minimum', () => {
    const { rule: one } = rule();
    one.failure(CircuitState.Closed);
    expect(one.degraded).toBe(false);
    for (let i = 0; i < 3; i++) one.success(CircuitState.Closed);
    expect(one.degraded).toBe(true);
    one.success(CircuitState.Closed);
    expect(one.degraded).toBe(false);
  });

  it('is not degraded by successes alone', () => {
    const { rule: one } = rule({ failureRatio: 0.01 });
    for (let i = 0; i < 50; i++) one.success(CircuitState.Closed);
    expect(one.degraded).toBe(false);
  });

  it('forgets in true time', () => {
    const { rule: one, time } = rule();
    for (let i = 0; i < 3; i++) one.failure(CircuitState.Closed);
    time.now = 10_000;
    expect(one.counts()).toEqual({ calls: 0, failures: 0, slowCalls: 0 });
    expect(one.failure(CircuitState.Closed)).toBe(false);
  });

  it('starts clean when a half-open circuit closes, and counts no probe', () => {
    const { rule: one } = rule();
    for (let i = 0; i < 3; i++) one.failure(CircuitState.Closed);
    expect(one.failure(CircuitState.HalfOpen)).toBe(false);
    expect(one.counts().calls).toBe(3);
    one.success(CircuitState.HalfOpen);
    expect(one.counts()).toEqual({ calls: 0, failures: 0, slowCalls: 0 });
  });

  it('goes on with the window of the rule before a reload, unless its length is another', () => {
    const { rule: before, time } = rule();
    for (let i = 0; i < 3; i++) before.failure(CircuitState.Closed);
    const now = (): number => time.now;
    expect(new RatioRule({ ...OPTIONS, failureRatio: 0.9 }, now, before).counts().failures).toBe(3);
    expect(new RatioRule({ ...OPTIONS, windowMs: 5_000 }, now, before).counts().failures).toBe(0);
  });
});
