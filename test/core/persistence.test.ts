import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Instants, isPersistent } from '../../src/core/persistence.ts';

const DAY = 86_400_000;
const WALL = Date.UTC(2026, 0, 1);

/** Saved at `savedAt` of a process whose wall clock showed `WALL`; read `downMs` later by the wall clock. */
function later(
  at: number,
  { savedAt, downMs, now }: { savedAt: number; downMs: number; now: number },
): number {
  const before = Instants.of({ now: savedAt, wallMs: WALL });
  const taken = { instant: before.toSaved(savedAt) ?? 0, wallMs: WALL };
  const after = Instants.since(taken, { now, wallMs: WALL + downMs });
  return after.fromSaved(before.toSaved(at), Number.NaN);
}

describe('instants that outlive their process', () => {
  it('stand on the wall clock', () => {
    expect(Instants.of({ now: 5_000, wallMs: WALL }).toSaved(6_000.4)).toBe(WALL + 1_000);
  });

  it('lie as far ahead as they did, less the time that passed between', () => {
    expect(later(90_000, { savedAt: 60_000, downMs: 10_000, now: 100 })).toBe(100 + 20_000);
  });

  it('are over where more time passed than was left', () => {
    expect(later(90_000, { savedAt: 60_000, downMs: DAY, now: 100 })).toBeLessThan(100);
  });

  it('lie no further ahead where the wall clock was put back', () => {
    expect(later(90_000, { savedAt: 60_000, downMs: -DAY, now: 100 })).toBe(100 + 30_000);
  });

  it('do not move while the wall clock is put right in the middle of a process', () => {
    const instants = Instants.of({ now: 0, wallMs: WALL });
    const saved = instants.toSaved(70_000);
    // The wall clock has gone on for a minute and was put forward by a day.
    const taken = { instant: instants.toSaved(60_000) ?? 0, wallMs: WALL + 60_000 + DAY };
    const next = Instants.since(taken, { now: 0, wallMs: taken.wallMs + 4_000 });
    expect(next.fromSaved(saved, 0)).toBe(6_000);
  });

  it('may be never', () => {
    const instants = Instants.of({ now: 0, wallMs: WALL });
    expect(instants.toSaved(Number.POSITIVE_INFINITY)).toBeNull();
    expect(instants.fromSaved(null, Number.NEGATIVE_INFINITY)).toBe(Number.NEGATIVE_INFINITY);
  });

  it('never lie further ahead than they did, whatever the clocks show', () => {
    const instant = fc.integer({ min: 0, max: 1e9 });
    fc.assert(
      fc.property(
        instant,
        instant,
        fc.integer({ min: -1e12, max: 1e12 }),
        instant,
        (at, savedAt, downMs, now) => {
          expect(later(at, { savedAt, downMs, now }) - now).toBeLessThanOrEqual(at - savedAt);
        },
      ),
    );
  });
});

describe('a part that outlives its process', () => {
  it('has both methods', () => {
    const both = { capture: () => null, restore: () => true };
    expect([both, { capture: both.capture }, {}, null, undefined, 5].map(isPersistent)).toEqual([
      true,
      ...[false, false, false, false, false],
    ]);
  });
});
