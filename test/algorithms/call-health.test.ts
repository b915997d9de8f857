import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallHealth } from '../../src/algorithms/call-health.ts';
import type { CallHealthOptions, EndedCall } from '../../src/algorithms/call-health.ts';

const OPTIONS: CallHealthOptions = {
  windowMs: 60_000,
  minimumCalls: 4,
  full: { errorRatio: 0.3, latencyMs: 500, timeouts: 5 },
  weights: { errors: 0.6, latency: 0.3, timeouts: 0.1 },
};
const QUICK: EndedCall = { failed: false, timedOut: false, latencyMs: 0 };

function seen(calls: readonly EndedCall[], options = OPTIONS): number {
  const health = new CallHealth(options);
  for (const call of calls) health.record(call, 0);
  return health.score(0);
}
const times = (count: number, call: Partial<EndedCall>): EndedCall[] =>
  Array.from({ length: count }, () => ({ ...QUICK, ...call }));

describe('the health of calls', () => {
  it('is 1 while nothing is amiss, and while too little was seen', () => {
    expect(seen([])).toBe(1);
    expect(seen(times(20, {}))).toBe(1);
    expect(seen(times(3, { failed: true, timedOut: true, latencyMs: 9_000 }))).toBe(1);
  });

  it.each([
    ['failures, from their share on', times(10, { failed: true }), 0.4],
    ['half that share', [...times(3, { failed: true }), ...times(17, {})], 0.7],
    ['latency, from its mean on', times(10, { latencyMs: 500 }), 0.7],
    ['a fifth of that latency', times(10, { latencyMs: 100 }), 0.94],
    ['timeouts, from their number on', times(10, { timedOut: true }), 0.9],
    ['two of five timeouts', [...times(2, { timedOut: true }), ...times(8, {})], 0.96],
    ['all of it', times(10, { failed: true, timedOut: true, latencyMs: 9_000 }), 0],
  ])('%s', (_, calls, score) => {
    expect(seen(calls)).toBeCloseTo(score, 10);
  });

  it('takes weights as ratios, whatever their sum', () => {
    const weights = { errors: 0.3, latency: 0, timeouts: 0.1 };
    expect(seen(times(10, { failed: true }), { ...OPTIONS, weights })).toBeCloseTo(0.25, 10);
  });

  it('calls whose latency nobody knows say nothing of it', () => {
    const calls = [...times(5, { latencyMs: 500 }), ...times(5, { latencyMs: undefined })];
    expect(seen(calls)).toBeCloseTo(0.7, 10);
  });

  it('comes back as time passes', () => {
    const health = new CallHealth(OPTIONS);
    for (const call of times(10, { failed: true })) health.record(call, 0);
    expect(health.score(30_000)).toBeCloseTo(0.4, 10);
    expect(health.score(60_001)).toBe(1);
  });

  it('goes on in its successor, unless the window has another length', () => {
    const before = new CallHealth(OPTIONS);
    for (const call of times(10, { failed: true })) before.record(call, 0);
    expect(new CallHealth({ ...OPTIONS, minimumCalls: 1 }, before).score(0)).toBeCloseTo(0.4, 10);
    expect(new CallHealth({ ...OPTIONS, windowMs: 1_000 }, before).score(0)).toBe(1);
  });

  it('stays from 0 to 1, and never rises with a failure', () => {
    const call = fc.record({ failed: fc.boolean(), timedOut: fc.boolean(), latencyMs: fc.nat(10_000) });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 50 }), (calls) => {
        const score = seen(calls);
        expect(score).toBeGreaterThanOrEqual(-1e-9);
        expect(score).toBeLessThanOrEqual(1);
        const worse = seen(calls.map((one) => ({ ...one, failed: true })));
        expect(worse).toBeLessThanOrEqual(score + 1e-9);
      }),
    );
  });
});
