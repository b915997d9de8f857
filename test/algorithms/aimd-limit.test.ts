import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AimdLimit } from '../../src/algorithms/aimd-limit.ts';
import { LimitRange } from '../../src/algorithms/concurrency-limit.ts';

interface Parts {
  readonly latencyThresholdMs?: number | false;
  readonly initial?: number;
}

const limitOf = ({ latencyThresholdMs = false, initial = 8 }: Parts = {}): AimdLimit =>
  new AimdLimit({ backoffRatio: 0.5, latencyThresholdMs }, new LimitRange({ min: 2, max: 20 }, initial));

const ok = (startedAt: number, durationMs = 100) => ({ startedAt, durationMs, end: 'ok' as const });
const dropped = (startedAt: number) => ({ startedAt, durationMs: 100, end: 'dropped' as const });

describe('AimdLimit', () => {
  it('grows by one in a round in which all of it was used', () => {
    const limit = limitOf();
    limit.used(8);
    for (let i = 0; i < 7; i++) limit.observe(ok(0), 100);
    expect(limit.current).toBe(8);
    limit.observe(ok(0), 100);
    expect(limit.current).toBe(9);
  });

  it('does not grow in a round in which it was not used', () => {
    const limit = limitOf();
    for (let i = 0; i < 100; i++) {
      limit.used(7);
      limit.observe(ok(i), i);
    }
    expect(limit.current).toBe(8);
  });

  it('steps down at a drop, once a round trip', () => {
    const limit = limitOf({ initial: 16 });
    limit.observe(dropped(0), 100);
    limit.observe(dropped(50), 150);
    expect(limit.current).toBe(8);
    limit.observe(dropped(120), 220);
    expect(limit.current).toBe(4);
    for (let i = 0; i < 10; i++) limit.observe(dropped(1_000 + i), 1_000 + i);
    expect(limit.current).toBe(2);
  });

  it('takes what exceeds the threshold for a drop, where there is one', () => {
    const [strict, easy] = [limitOf({ latencyThresholdMs: 1_000 }), limitOf()];
    for (const limit of [strict, easy]) limit.observe(ok(0, 1_001), 1_001);
    expect([strict.current, easy.current]).toEqual([4, 8]);
    strict.observe({ startedAt: 2_000, durationMs: 500, end: 'abandoned' }, 2_500);
    expect(strict.current).toBe(4);
    strict.observe({ startedAt: 2_000, durationMs: 1_500, end: 'abandoned' }, 3_500);
    expect(strict.current).toBe(2);
  });

  it('stays within its range, and only grows by ones', () => {
    const anySample = fc.record({
      startedAt: fc.nat(10_000),
      durationMs: fc.nat(5_000),
      end: fc.constantFrom('ok' as const, 'dropped' as const, 'abandoned' as const),
      active: fc.nat(40),
    });
    fc.assert(
      fc.property(fc.array(anySample, { maxLength: 300 }), (samples) => {
        const limit = limitOf({ latencyThresholdMs: 4_000 });
        for (const { active, ...sample } of samples) {
          const before = limit.current;
          limit.used(active);
          limit.observe(sample, sample.startedAt + sample.durationMs);
          expect(limit.current).toBeGreaterThanOrEqual(2);
          expect(limit.current).toBeLessThanOrEqual(Math.min(20, before + 1));
        }
      }),
    );
  });
});
