import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LimitRange } from '../../src/algorithms/concurrency-limit.ts';
import type { LoadSample } from '../../src/algorithms/concurrency-limit.ts';
import { GradientLimit } from '../../src/algorithms/gradient-limit.ts';
import { averageLimit, play, varied } from './simulated-upstream.ts';
import type { World } from './simulated-upstream.ts';

const limitOf = ({
  min = 2,
  max = 100,
  initial = 8,
  onMinimum = (): void => undefined,
} = {}): GradientLimit =>
  new GradientLimit({ tolerance: 1.5, backoffRatio: 0.75 }, new LimitRange({ min, max }, initial, onMinimum));

const ok = (startedAt: number, durationMs: number): LoadSample => ({ startedAt, durationMs, end: 'ok' });

/** A round of answers that all take `durationMs`, with all of the limit in use. */
function round(limit: GradientLimit, at: number, durationMs: number, active = limit.current): void {
  limit.used(active);
  const answers = Math.max(16, limit.current);
  for (let i = 0; i < answers; i++) limit.observe(ok(at, durationMs), at + durationMs);
}

/** A limit that knows that answers take 100 ms. */
function learned(parts: Parameters<typeof limitOf>[0] = {}): GradientLimit {
  const limit = limitOf(parts);
  for (let i = 0; i < 3; i++) round(limit, 0, 100, 1);
  return limit;
}

describe('GradientLimit', () => {
  it('grows while answers take no longer than they did, if it is used', () => {
    const limit = learned();
    expect([limit.current, limit.baselineMs]).toEqual([8, 100]);
    round(limit, 100, 100);
    expect(limit.current).toBe(10);
    for (let i = 2; i < 100; i++) round(limit, i * 100, 100);
    expect(limit.current).toBe(100);
  });

  it('averages the first rounds for what is usual', () => {
    const limit = limitOf();
    for (const ms of [100, 300, 200]) round(limit, 0, ms);
    expect(limit.baselineMs).toBeCloseTo(200);
    expect(limit.current).toBe(8);
  });

  it('does not grow while it is not used', () => {
    const limit = limitOf();
    for (let i = 0; i < 100; i++) round(limit, i * 100, 100, 7);
    expect(limit.current).toBe(8);
  });

  it('sinks by as much as answers take too long, by half at most', () => {
    const limit = learned({ initial: 40 });
    round(limit, 200, 200);
    expect(limit.current).toBe(30);
    round(limit, 600, 2_000);
    expect(limit.current).toBe(15);
  });

  it('does not sink for what others do to the upstream while it is hardly used', () => {
    const limit = learned({ initial: 40 });
    for (let i = 1; i < 10; i++) round(limit, i * 1_000, 900, 5);
    expect(limit.current).toBe(40);
  });

  it('takes one step down a round trip: what began before the last step does not count', () => {
    const limit = learned({ initial: 40 });
    round(limit, 200, 1_000);
    expect(limit.current).toBe(20);
    for (let i = 0; i < 100; i++) limit.observe(ok(1_100, 1_000), 2_100);
    for (let i = 0; i < 100; i++)
      limit.observe({ startedAt: 1_199, durationMs: 5_000, end: 'dropped' }, 6_199);
    expect(limit.current).toBe(20);
  });

  it('steps down at a drop', () => {
    const limit = limitOf({ initial: 40 });
    limit.observe({ startedAt: 0, durationMs: 50, end: 'dropped' }, 50);
    expect(limit.current).toBe(30);
  });

  it('learns from calls that nobody waited for only that they took too long', () => {
    const [quick, slow] = [learned(), learned()];
    const left = (durationMs: number): LoadSample => ({ startedAt: 200, durationMs, end: 'abandoned' });
    quick.used(8);
    for (let i = 0; i < 50; i++) quick.observe(left(10), 210);
    for (let i = 0; i < 15; i++) quick.observe(ok(300, 100), 400);
    expect(quick.current).toBe(8);
    slow.used(8);
    for (let i = 0; i < 16; i++) slow.observe(left(400), 600);
    expect(slow.current).toBe(4);
  });

  it('takes a latency that stays for the new baseline once the minimum did not help', () => {
    const limit = learned();
    for (let i = 1; i < 40; i++) round(limit, i * 10_000, 1_000);
    expect(limit.baselineMs).toBeGreaterThan(900);
    expect(limit.current).toBeGreaterThan(20);
  });

  it('finds a baseline again that is far lower', () => {
    const limit = limitOf();
    for (let i = 0; i < 3; i++) round(limit, 0, 1_000);
    for (let i = 1; i < 20; i++) round(limit, i * 10_000, 100);
    expect(limit.baselineMs).toBeLessThan(200);
  });

  it('tells once that it is at the minimum, and again only after it had recovered', () => {
    let told = 0;
    const limit = limitOf({ onMinimum: () => (told += 1) });
    for (let i = 0; i < 20; i++) limit.observe({ startedAt: i, durationMs: 1, end: 'dropped' }, i);
    expect([limit.current, told]).toEqual([2, 1]);
    for (let i = 0; i < 40; i++) round(limit, 100 + i * 100, 50);
    for (let i = 0; i < 40; i++)
      limit.observe({ startedAt: 9_000 + i, durationMs: 1, end: 'dropped' }, 9_000 + i);
    expect([limit.current, told]).toEqual([2, 2]);
  });

  it('stays within its range, whatever it hears', () => {
    const anySample = fc.record({
      startedAt: fc.nat(100_000),
      durationMs: fc.oneof(fc.nat(100_000), fc.constant(0)),
      end: fc.constantFrom('ok' as const, 'dropped' as const, 'abandoned' as const),
      active: fc.nat(200),
    });
    fc.assert(
      fc.property(
        fc.array(anySample, { maxLength: 300 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 100 }),
        (samples, min, more) => {
          const limit = limitOf({ min, max: min + more, initial: 10 });
          for (const { active, ...sample } of samples) {
            limit.used(active);
            limit.observe(sample, sample.startedAt + sample.durationMs);
            expect(limit.current).toBeGreaterThanOrEqual(min);
            expect(limit.current).toBeLessThanOrEqual(min + more);
            expect(Number.isInteger(limit.current)).toBe(true);
          }
        },
      ),
    );
  });

  describe('on an upstream whose answers vary by a factor of ten and more', () => {
    const seeds = [1, 2, 3, 4, 5];
    const world = (parts: Partial<World> = {}): World => ({
      workers: 16,
      workMs: varied(5_000),
      demand: 60,
      ...parts,
    });

    it.each(seeds)('gives healthy traffic the room that it wants (seed %i)', (seed) => {
      const ticks = play(limitOf(), world({ workers: 1_000 }), { calls: 6_000, seed });
      expect(averageLimit(ticks.slice(3_000))).toBeGreaterThan(45);
    });

    it.each(seeds)('keeps all workers busy, and the queue behind them short (seed %i)', (seed) => {
      const ticks = play(limitOf(), world(), { calls: 6_000, seed }).slice(1_000);
      const busy = ticks.reduce((sum, { active }) => sum + Math.min(1, active / 16), 0) / ticks.length;
      expect(busy).toBeGreaterThan(0.9);
      expect(averageLimit(ticks)).toBeLessThan(40);
    });

    it.each(seeds)('comes down in a brown-out and up again after it (seed %i)', (seed) => {
      const ticks = play(limitOf(), world({ workers: 40, demand: 200 }), {
        calls: 9_000,
        seed,
        change: (n, now) => (now.workers = n >= 3_000 && n < 6_000 ? 8 : 40),
      });
      expect(averageLimit(ticks.slice(4_000, 6_000))).toBeLessThan(24);
      expect(averageLimit(ticks.slice(7_500))).toBeGreaterThan(32);
    });
  });
});
