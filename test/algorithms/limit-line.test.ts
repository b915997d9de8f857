/** The line before buckets whose store takes its time, as one elsewhere does. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LimitLine } from '../../src/algorithms/limit-line.ts';
import type { LimitAdmission, LimitedCall } from '../../src/algorithms/limit-line.ts';
import { Cancellation } from '../../src/core/cancellation.ts';
import type { Charge, Decision, LimitStore } from '../../src/core/limit-store.ts';
import { MemoryLimits } from '../../src/stores/memory/limits.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** Decides after so many milliseconds, by what is there when it was asked. */
class SlowStore implements LimitStore {
  readonly #clock: FakeClock;
  readonly #limits: MemoryLimits;
  readonly #delayMs: number;
  asked = 0;
  /** Tokens that were taken and not given back. */
  taken = 0;

  constructor(clock: FakeClock, delayMs: number) {
    this.#clock = clock;
    this.#limits = new MemoryLimits(clock);
    this.#delayMs = delayMs;
  }

  take(charges: readonly Charge[]): Promise<Decision> {
    this.asked += 1;
    const decision = this.#limits.take(charges);
    if (decision.admitted) this.taken += costOf(charges);
    return new Promise((resolve) => this.#clock.setTimer(this.#delayMs, () => resolve(decision)));
  }

  adjust(charges: readonly Charge[]): void {
    this.taken += costOf(charges);
    this.#limits.adjust(charges);
  }
}

const costOf = (charges: readonly Charge[]): number => charges.reduce((sum, { cost }) => sum + cost, 0);

function rig(delayMs = 5, options = {}) {
  const clock = new FakeClock();
  const store = new SlowStore(clock, delayMs);
  const line = new LimitLine(
    store,
    { maxQueue: 100, maxWaitMs: 10_000, msPerRank: 1_000, ...options },
    clock,
  );
  const startedAt = clock.now();
  const enter = (parts: Partial<LimitedCall> & { readonly key?: string; readonly cost?: number } = {}) => {
    const { key = 'a', cost = 1, ...rest } = parts;
    const charges = [{ key, size: { burst: 2, ratePerSecond: 2 }, cost }];
    const cancellation = new Cancellation();
    const call = { charges, rank: 0, deadlineAt: Number.POSITIVE_INFINITY, cancellation, ...rest };
    const state: { admission?: LimitAdmission; at?: number } = {};
    void Promise.resolve(line.enter(call)).then((admission) => {
      state.admission = admission;
      state.at = clock.now() - startedAt;
    });
    return { state, cancellation: call.cancellation };
  };
  return { clock, store, line, enter };
}

describe('a line before a store that takes its time', () => {
  it('lets calls go as the store admits them, in turn', async () => {
    const { clock, enter, line } = rig();
    const calls = Array.from({ length: 5 }, () => enter());
    await clock.advance(5_000);
    expect(calls.map(({ state }) => state.admission?.kind)).toEqual(Array.from({ length: 5 }, () => 'go'));
    expect(calls.map(({ state }) => Math.round((state.at ?? 0) / 100))).toEqual([0, 0, 5, 10, 15]);
    expect([line.length, clock.pendingTimers]).toEqual([0, 0]);
  });

  it('gives back what was taken for one who left while the store was asked', async () => {
    const { clock, store, enter } = rig(20);
    const first = enter();
    await clock.advance(5);
    first.cancellation.cancel('client-aborted');
    await clock.advance(20);
    expect(first.state.admission).toEqual({ kind: 'left' });
    expect(store.taken).toBe(0);
  });

  it('gives back what was taken for one who left the line while the store was asked', async () => {
    const { clock, store, enter, line } = rig(20);
    enter();
    enter();
    await clock.advance(20);
    const waiting = enter();
    await clock.advance(20);
    expect(line.length).toBe(1);
    // Its turn comes at half a second: then the store is asked for it.
    while (store.asked < 4) await clock.advance(1);
    waiting.cancellation.cancel('client-aborted');
    await clock.advance(100);
    expect(waiting.state.admission).toMatchObject({ kind: 'left' });
    expect(store.taken).toBe(2);
    expect(clock.pendingTimers).toBe(0);
  });

  it('asks for whoever is first alone, however many wait', async () => {
    const { clock, store, enter } = rig();
    for (let i = 0; i < 2; i++) enter();
    await clock.advance(10);
    enter();
    await clock.advance(10);
    for (let i = 0; i < 15; i++) enter();
    await clock.advance(10);
    expect(store.asked).toBe(3);
    await clock.advance(20_000);
    expect(store.asked).toBeLessThan(45);
  });

  it('loses no token and leaves nobody behind, whoever comes, waits and leaves when', async () => {
    const caller = fc.record({
      afterMs: fc.nat(700),
      cost: fc.integer({ min: 1, max: 2 }),
      rank: fc.integer({ min: -1, max: 1 }),
      key: fc.constantFrom('a', 'b'),
      leavesAfterMs: fc.option(fc.nat(2_000)),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(caller, { maxLength: 25 }),
        fc.constantFrom(0, 5, 80),
        fc.constantFrom(0, 1_500, 10_000),
        async (callers, delayMs, maxWaitMs) => {
          const { clock, store, enter, line } = rig(delayMs, { maxWaitMs, maxQueue: 6 });
          let expected = 0;
          const all = [];
          for (const { afterMs, leavesAfterMs, ...parts } of callers) {
            await clock.advance(afterMs);
            const call = enter(parts);
            all.push({ call, cost: parts.cost });
            if (leavesAfterMs !== null)
              clock.setTimer(leavesAfterMs, () => call.cancellation.cancel('client-aborted'));
          }
          await clock.advance(60_000);
          for (const { call, cost } of all) {
            expect(call.state.admission).toBeDefined();
            if (call.state.admission?.kind === 'go') expected += cost;
            expect(call.cancellation.listenerCount).toBe(0);
          }
          expect(store.taken).toBe(expected);
          expect([line.length, clock.pendingTimers]).toEqual([0, 0]);
        },
      ),
      { numRuns: 150 },
    );
  });
});
