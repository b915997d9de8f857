import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fail } from '../support/policy-kit.ts';
import { PLAIN, RetryRig } from './retry-rig.ts';

describe('retry: the budget', () => {
  it('allows its floor to an upstream without traffic, and 20 % of requests beyond', async () => {
    const run = new RetryRig({ maxRetries: 1, backoff: { initial: '0s' } });
    for (let i = 0; i < 100; i++) run.start({}, fail());
    await run.clock.advance(0);
    expect(run.events.of('retry-scheduled')).toHaveLength(3 + 20);
    expect(run.refusals.filter((why) => why === 'budget')).toHaveLength(100 - 23);
  });

  it('fills again as time passes', async () => {
    const run = new RetryRig({ maxRetries: 1, budget: { ratio: 0, floor: 1, window: '10s' }, ...PLAIN });
    await run.toTheEnd({}, fail());
    run.start({}, fail());
    expect(run.policy.budgetRemaining).toBe(1);
    await run.clock.advance(0);
    expect(run.policy.budgetRemaining).toBe(0);
    await run.clock.advance(10_000);
    expect(run.policy.budgetRemaining).toBe(1);
  });

  it('can be switched off', async () => {
    const run = new RetryRig({ maxRetries: 20, budget: false, maxElapsed: false });
    expect((await run.toTheEnd({}, fail())).script.calls).toHaveLength(21);
    expect(run.policy.snapshot()).toEqual({ maxRetries: 20, budgetRemaining: null, health: null });
  });

  it('is used up across a reload, also where its ratio changes', async () => {
    const before = new RetryRig({ maxRetries: 1, budget: { ratio: 0, floor: 2 }, ...PLAIN });
    before.start({}, fail());
    await before.clock.advance(0);
    const next = before.reloaded({ budget: { ratio: 0.5, floor: 2 } });
    expect(next.policy.budgetRemaining).toBe(1);
  });

  it('stays as it was for the old policy when a new one is built and never used', () => {
    const before = new RetryRig({ budget: { ratio: 0, floor: 2 } });
    before.reloaded({ budget: { ratio: 0, floor: 9 } });
    expect(before.policy.budgetRemaining).toBe(2);
  });

  it('starts anew where its window has another length', async () => {
    const before = new RetryRig({ budget: { ratio: 0, floor: 2 }, ...PLAIN });
    before.start({}, fail());
    await before.clock.advance(0);
    const next = before.reloaded({ budget: { ratio: 0, floor: 2, window: '20s' } });
    expect(next.policy.budgetRemaining).toBe(2);
  });

  it('in an outage bounds the extra load to its share, whatever the options', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 0, max: 5 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 0, max: 4 }),
        async (requests, floor, ratio, maxRetries) => {
          const run = new RetryRig({
            maxRetries,
            budget: { ratio, floor, window: '10m' },
            maxElapsed: false,
          });
          for (let i = 0; i < requests; i++) run.start({}, fail());
          await run.clock.advance(60_000);
          const retries = run.events.of('retry-scheduled').length;
          expect(retries).toBeLessThanOrEqual(floor + ratio * requests + 1e-6);
          expect(retries).toBeLessThanOrEqual(requests * maxRetries);
        },
      ),
      { numRuns: 40 },
    );
  });
});
