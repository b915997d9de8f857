import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RetryBudget } from '../../src/algorithms/retry-budget.ts';

const OPTIONS = { ratio: 0.2, floor: 3, windowMs: 10_000 } as const;

describe('RetryBudget', () => {
  it('allows its floor without any traffic', () => {
    const budget = new RetryBudget(OPTIONS);
    expect([1, 2, 3, 4].map(() => budget.withdraw(0))).toEqual([true, true, true, false]);
    expect(budget.remaining(0)).toBe(0);
  });

  it('allows a share of the requests on top', () => {
    const budget = new RetryBudget(OPTIONS);
    for (let i = 0; i < 25; i++) budget.deposit(0);
    expect(budget.remaining(0)).toBe(3 + 5);
  });

  it('gives whole retries only', () => {
    const budget = new RetryBudget({ ...OPTIONS, floor: 0 });
    for (let i = 0; i < 4; i++) budget.deposit(0);
    expect(budget.withdraw(0)).toBe(false);
    budget.deposit(0);
    expect(budget.withdraw(0)).toBe(true);
  });

  it('is not short of one because shares do not add up exactly in binary', () => {
    const budget = new RetryBudget({ ratio: 0.1, floor: 0, windowMs: 10_000 });
    for (let i = 0; i < 30; i++) budget.deposit(0);
    expect(budget.remaining(0)).toBe(3);
  });

  it('gives back what was taken when the window has passed', () => {
    const budget = new RetryBudget(OPTIONS);
    for (let i = 0; i < 3; i++) budget.withdraw(0);
    expect(budget.withdraw(8_999)).toBe(false);
    expect(budget.withdraw(10_000)).toBe(true);
  });

  it('is given back where it was taken: neither a slice later nor when it has aged out is there one too many', () => {
    const budget = new RetryBudget(OPTIONS);
    budget.withdraw(999);
    budget.giveBack(999, 1_001);
    expect([1_001, 10_000, 11_000].map((now) => budget.remaining(now))).toEqual([3, 3, 3]);
    budget.withdraw(11_000);
    budget.giveBack(11_000, 25_000);
    expect(budget.remaining(25_000)).toBe(3);
    for (let i = 0; i < 4; i++) budget.withdraw(25_000);
    expect(budget.remaining(25_000)).toBe(0);
  });

  it('forgets traffic, too: a share of yesterday’s requests is none', () => {
    const budget = new RetryBudget(OPTIONS);
    for (let i = 0; i < 1_000; i++) budget.deposit(0);
    expect(budget.remaining(10_000)).toBe(3);
  });

  it('takes nothing when it refuses', () => {
    const budget = new RetryBudget({ ...OPTIONS, floor: 0 });
    for (let i = 0; i < 100; i++) budget.withdraw(0);
    for (let i = 0; i < 5; i++) budget.deposit(0);
    expect(budget.remaining(0)).toBe(1);
  });

  it.each([
    [0, 0, 0],
    [0, 7, 7],
    [1, 0, 12],
  ])('with ratio %d and floor %i allows %i of 12', (ratio, floor, expected) => {
    const budget = new RetryBudget({ ratio, floor, windowMs: 1_000 });
    for (let i = 0; i < 12; i++) budget.deposit(0);
    let taken = 0;
    while (budget.withdraw(0)) taken += 1;
    expect(taken).toBe(expected);
  });

  it('never lets retries exceed floor + ratio × requests in any window', () => {
    const event = fc.record({
      waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 4_000 })),
      kind: fc.constantFrom('deposit', 'withdraw'),
    });
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 0, max: 5 }),
        fc.integer({ min: 10, max: 20_000 }),
        fc.array(event, { maxLength: 200 }),
        (ratio, floor, windowMs, events) => {
          const budget = new RetryBudget({ ratio, floor, windowMs });
          const requests: number[] = [];
          const retries: number[] = [];
          let now = 1_000;
          for (const { waitMs, kind } of events) {
            now += waitMs;
            if (kind === 'deposit') {
              budget.deposit(now);
              requests.push(now);
            } else if (budget.withdraw(now)) {
              retries.push(now);
              // The window is exact to a tenth of its length.
              const spent = retries.filter((at) => at > now - 0.9 * windowMs).length;
              const earned = requests.filter((at) => at > now - windowMs - 1e-6).length;
              expect(spent).toBeLessThanOrEqual(floor + ratio * earned + 1e-6);
            }
            expect(budget.remaining(now)).toBeGreaterThanOrEqual(0);
          }
        },
      ),
    );
  });

  describe('after a reload', () => {
    it('goes on with what was counted, under the new ratio and floor', () => {
      const before = new RetryBudget(OPTIONS);
      for (let i = 0; i < 10; i++) before.deposit(0);
      before.withdraw(0);
      const next = new RetryBudget({ ...OPTIONS, ratio: 0.5, floor: 1 }, before);
      expect(next.remaining(0)).toBe(1 + 5 - 1);
    });

    it('shares what is counted later with exchanges that still use the old one', () => {
      const before = new RetryBudget(OPTIONS);
      const next = new RetryBudget(OPTIONS, before);
      before.withdraw(0);
      next.withdraw(0);
      expect([before.remaining(0), next.remaining(0)]).toEqual([1, 1]);
    });

    it('leaves the options of the old one alone', () => {
      const before = new RetryBudget(OPTIONS);
      new RetryBudget({ ...OPTIONS, floor: 50 }, before);
      expect(before.remaining(0)).toBe(3);
    });

    it('starts anew with a window of another length', () => {
      const before = new RetryBudget(OPTIONS);
      before.withdraw(0);
      expect(new RetryBudget({ ...OPTIONS, windowMs: 20_000 }, before).remaining(0)).toBe(3);
    });
  });
});
