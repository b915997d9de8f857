/** What policies know again after their process was gone for a while. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { credentials, Credentials } from '../../src/policies/credentials.ts';
import type { FakeClock } from '../support/fake-clock.ts';
import { attemptAt, fail, kit, respond } from '../support/policy-kit.ts';
import type { Kit } from '../support/policy-kit.ts';
import { capture, leave, take } from '../support/restart.ts';
import type { Left } from '../support/restart.ts';
import { BreakerRig } from './breaker-rig.ts';
import { PacingRig, requestsLeft } from './pacing-rig.ts';
import { PLAIN, RetryRig } from './retry-rig.ts';

interface Rigged {
  readonly policy: unknown;
  readonly clock: FakeClock;
}

const leftBy = ({ policy, clock }: Rigged): Left => leave({ part: policy, clock });

/** The rig of the next process, `downMs` later. */
function next<R extends Rigged>(left: Left, rig: R, downMs = 0): R {
  const isAny = left.state !== null;
  expect(take(left, { part: rig.policy, clock: rig.clock }, downMs)).toBe(isAny);
  return rig;
}

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

describe('circuit-breaker: after a restart', () => {
  const openFor = (rig: BreakerRig): unknown => rig.policy.snapshot()['openForMs'];

  async function tripped(): Promise<BreakerRig> {
    const rig = new BreakerRig();
    await rig.trip();
    return rig;
  }

  it('stays open for what is left of its time, then probes', async () => {
    const before = await tripped();
    await before.clock.advance(4_000);
    const after = next(leftBy(before), new BreakerRig(), 5_000);
    expect([after.state, openFor(after)]).toEqual(['open', 6_000]);
    expect((await after.call()).passed()).toBe(false);
    await after.clock.advance(6_000);
    expect((await after.call()).passed()).toBe(true);
    expect(after.state).toBe('closed');
  });

  it('says that it opened', async () => {
    const after = next(leftBy(await tripped()), new BreakerRig(), 5_000);
    expect(after.changes).toEqual([['closed', 'open', 10_000]]);
  });

  it('may be probed at once where its time passed meanwhile, by one call at a time', async () => {
    const after = next(leftBy(await tripped()), new BreakerRig(), MINUTE);
    expect(openFor(after)).toBe(0);
    const [first, second] = [after.start(respond()), after.start(respond())];
    expect([first.passed(), second.passed()]).toEqual([true, false]);
  });

  it('that was half-open is open and may be probed: the probe was lost with its process', async () => {
    const before = await tripped();
    await before.clock.advance(15_000);
    before.start(() => new Promise(() => undefined));
    expect(before.state).toBe('half-open');
    const after = next(leftBy(before), new BreakerRig());
    expect([after.state, openFor(after)]).toEqual(['open', 0]);
    expect((await after.call()).passed()).toBe(true);
  });

  it('opens for longer with each further opening in a row, as if nothing had been', async () => {
    const before = await tripped();
    await before.clock.advance(15_000);
    await before.fail();
    expect(openFor(before)).toBe(30_000);
    const after = next(leftBy(before), new BreakerRig(), 30_000);
    await after.fail();
    expect(openFor(after)).toBe(45_000);
  });

  it('stays open no longer than was left, where the wall clock was put back', async () => {
    const after = next(leftBy(await tripped()), new BreakerRig(), -DAY);
    expect(openFor(after)).toBe(15_000);
  });

  it('stays open no longer than any opening may last now', async () => {
    const left = leftBy(await tripped());
    const after = next(left, new BreakerRig({ openFor: '1s', maxOpenFor: '5s' }));
    expect(openFor(after)).toBe(5_500);
    const state = { ...(left.state as object), openUntil: Number.MAX_SAFE_INTEGER };
    expect(openFor(next({ ...left, state }, new BreakerRig()))).toBe(1.1 * 5 * MINUTE);
  });

  it('stays open where its thresholds changed meanwhile', async () => {
    const after = next(leftBy(await tripped()), new BreakerRig({ consecutiveFailures: 50, probes: 2 }));
    expect(after.state).toBe('open');
    await after.clock.advance(15_000);
    await after.call();
    expect(after.state).toBe('half-open');
  });

  it('does not take for ever over openings without number', () => {
    const before = new BreakerRig();
    const state = { ...AS_NEW, openings: Number.MAX_SAFE_INTEGER, openUntil: 0 };
    const after = next({ ...leftBy(before), state }, new BreakerRig());
    expect(after.policy.snapshot()).toMatchObject({ state: 'open', openings: 10_000 });
  });

  it('is held open, or closed, by the same operator', async () => {
    const before = new BreakerRig();
    before.policy.setOverride('open');
    const isolated = next(leftBy(before), new BreakerRig(), 10 * MINUTE);
    expect(isolated.state).toBe('isolated');
    expect((await isolated.call()).passed()).toBe(false);
    isolated.policy.setOverride('auto');
    expect((await isolated.call()).passed()).toBe(true);
    before.policy.setOverride('closed');
    const closed = next(leftBy(before), new BreakerRig());
    await closed.fail(10);
    expect([closed.state, (await closed.call()).passed()]).toEqual(['closed', true]);
  });

  it('counts on: failures in a row, and those in the window', async () => {
    const before = new BreakerRig();
    await before.fail(4);
    const after = next(leftBy(before), new BreakerRig(), 20_000);
    expect(after.policy.snapshot()).toMatchObject({ calls: 4, failures: 4, state: 'closed' });
    await after.fail();
    expect(after.state).toBe('open');
  });

  it('is degraded where the window says so', async () => {
    const before = new BreakerRig({ failureRatio: 0.8, consecutiveFailures: false });
    await before.succeed(3);
    await before.fail(3);
    expect(before.state).toBe('degraded');
    const after = next(leftBy(before), new BreakerRig({ failureRatio: 0.8, consecutiveFailures: false }));
    expect(after.state).toBe('degraded');
  });

  it('has forgotten what aged out of the window while nobody ran', async () => {
    const before = new BreakerRig({ consecutiveFailures: false });
    await before.fail(4);
    const after = next(leftBy(before), new BreakerRig({ consecutiveFailures: false }), 61_000);
    expect(after.policy.snapshot()).toMatchObject({ calls: 0, failures: 0 });
  });

  it('counts anew where the window has another length', async () => {
    const before = new BreakerRig();
    await before.fail(4);
    const after = next(leftBy(before), new BreakerRig({ window: '30s' }));
    expect(after.policy.snapshot()).toMatchObject({ calls: 0, failures: 0 });
  });

  it('leaves nothing while it is as new, and after it has closed only what the window holds', async () => {
    const rig = new BreakerRig();
    expect(capture({ part: rig.policy, clock: rig.clock })).toBeUndefined();
    await rig.tripAndWait();
    await rig.call();
    await rig.clock.advance(2 * MINUTE);
    expect(capture({ part: rig.policy, clock: rig.clock })).toBeUndefined();
  });

  it('never opens for longer than it had left, whatever it went through and whenever it ended', async () => {
    const step = fc.constantFrom('fail', 'succeed', 'wait');
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.integer({ min: -DAY, max: DAY }),
        async (steps, downMs) => {
          const before = new BreakerRig();
          for (const one of steps)
            if (one === 'wait') await before.clock.advance(7_000);
            else await before[one]();
          const left = leftBy(before);
          const after = next(left, new BreakerRig(), downMs);
          const most = Math.max(0, Number(openFor(before)) - Math.max(0, downMs));
          expect(Number(openFor(after))).toBeLessThanOrEqual(Math.ceil(most));
          expect(after.state === 'closed' || after.state === 'degraded').toBe(
            before.state === 'closed' || before.state === 'degraded',
          );
        },
      ),
      { numRuns: 60 },
    );
  });
});

const AS_NEW = {
  override: 'auto',
  openings: 0,
  openUntil: null,
  consecutiveFailures: 0,
  window: { lengthMs: MINUTE, tallies: [] },
};

describe('retry: after a restart', () => {
  const budget = { ratio: 0, floor: 3, window: '10s' };
  const remaining = (rig: RetryRig): unknown => rig.policy.budgetRemaining;

  async function spent(): Promise<RetryRig> {
    const rig = new RetryRig({ maxRetries: 1, budget, ...PLAIN });
    for (let i = 0; i < 5; i++) rig.start({}, fail());
    await rig.clock.advance(0);
    expect(remaining(rig)).toBe(0);
    return rig;
  }

  it('a spent budget is spent, until its window has passed', async () => {
    const after = next(leftBy(await spent()), new RetryRig({ budget }), 4_000);
    expect(remaining(after)).toBe(0);
    await after.clock.advance(7_000);
    expect(remaining(after)).toBe(3);
  });

  it('it has filled again while nobody ran', async () => {
    expect(remaining(next(leftBy(await spent()), new RetryRig({ budget }), 11_000))).toBe(3);
  });

  it('it fills in time where the wall clock was put back', async () => {
    const after = next(leftBy(await spent()), new RetryRig({ budget }), -DAY);
    expect(remaining(after)).toBe(0);
    await after.clock.advance(11_000);
    expect(remaining(after)).toBe(3);
  });

  it('what was earned counts, too', async () => {
    const before = new RetryRig({ budget: { ratio: 0.5, floor: 0 } });
    for (let i = 0; i < 10; i++) before.start({}, respond());
    expect(remaining(next(leftBy(before), new RetryRig({ budget: { ratio: 0.5, floor: 0 } })))).toBe(5);
  });

  it('one that is switched off now takes what there was for nothing', async () => {
    expect(remaining(next(leftBy(await spent()), new RetryRig({ budget: false })))).toBeUndefined();
  });
});

describe('pacing: after a restart', () => {
  const pausedFor = (rig: PacingRig): unknown => rig.policy.snapshot()['pausedForMs'];
  const limits = (rig: PacingRig): unknown => rig.policy.snapshot()['limits'];

  it('a pause lasts for what is left of it', async () => {
    const before = new PacingRig();
    await before.call(respond(429, { headers: ['retry-after', '60'] }));
    const after = next(leftBy(before), new PacingRig(), 20_000);
    expect(pausedFor(after)).toBe(40_000);
    expect(pausedFor(next(leftBy(before), new PacingRig(), -DAY))).toBe(60_000);
    expect(pausedFor(next(leftBy(before), new PacingRig({ maxPause: '10s' })))).toBe(10_000);
  });

  it('what is left of a limit, and its reset, are known', async () => {
    const before = new PacingRig();
    await before.hear(0, '30s');
    const after = next(leftBy(before), new PacingRig(), 10_000);
    expect(limits(after)).toEqual([{ dimension: 'requests', limit: 10, remaining: 0 }]);
    const call = after.start();
    await after.until(19_000);
    expect(call.wentAt()).toBeUndefined();
    await after.until(22_000);
    expect(call.wentAt()).toBeGreaterThanOrEqual(20_000);
  });

  it('a limit whose reset passed meanwhile is whole again', async () => {
    const before = new PacingRig();
    await before.hear(0, '30s');
    const after = next(leftBy(before), new PacingRig(), MINUTE);
    expect(limits(after)).toEqual([{ dimension: 'requests', limit: 10, remaining: 10 }]);
  });

  it('each credential has its own, by its value and not by its name', async () => {
    const before = new PacingRig({}, { keys: { main: 'id-1', spare: 'id-2' } });
    const limited = before.answerTo('main', 200, requestsLeft(0, '60s'));
    await before.call(limited);
    const left = leftBy(before);
    const renamed = next(left, new PacingRig({}, { keys: { other: 'id-1' } }));
    expect(limits(renamed)).toEqual([{ dimension: 'requests', limit: 10, remaining: 0 }]);
    const replaced = next(left, new PacingRig({}, { keys: { main: 'id-3' } }));
    expect(limits(replaced)).toEqual([]);
  });

  it('a word of the provider counts for more than what is remembered', async () => {
    const before = new PacingRig();
    await before.hear(0, '30s');
    const after = next(leftBy(before), new PacingRig(), 31_000);
    await after.hear(7, '60s');
    expect(limits(after)).toEqual([{ dimension: 'requests', limit: 10, remaining: 7 }]);
  });
});

describe('credentials: after a restart', () => {
  class KeysRig implements Rigged {
    readonly kit: Kit = kit();
    readonly policy: Credentials;

    constructor(values: readonly string[], options: object = {}) {
      const parsed = credentials.schema.parse({ values, ...options });
      this.policy = new Credentials(parsed, this.kit.deps, undefined);
    }

    get clock(): FakeClock {
      return this.kit.clock;
    }

    async answer(status: number, headers: readonly string[] = []): Promise<string | undefined> {
      const attempt = attemptAt(this.clock);
      await this.policy.run(
        attempt,
        () => Promise.resolve(respond(status, { headers })),
        attempt.cancellation,
      );
      return attempt.credential;
    }

    get keys(): unknown {
      return this.policy.keys.map(({ state, waitMs }) => [state, Math.round(waitMs)]);
    }
  }

  const TWO = ['sk-one-secret', 'sk-two-secret'];

  it('a key that cools down does so for what is left of it', async () => {
    const before = new KeysRig(TWO);
    await before.answer(429, ['retry-after', '60']);
    const left = leftBy(before);
    const after = next(left, new KeysRig(TWO), 20_000);
    expect(after.keys).toEqual([
      ['cooling', 40_000],
      ['ready', 0],
    ]);
    expect(after.kit.events.of('credential-cooling')).toMatchObject([{ credential: 'key-1', forMs: 40_000 }]);
    expect(next(left, new KeysRig(TWO), -DAY).keys).toEqual([
      ['cooling', 60_000],
      ['ready', 0],
    ]);
    expect(next(left, new KeysRig(TWO, { coolDown: { max: '1s', maxRetryAfter: '5s' } })).keys).toEqual([
      ['cooling', 5_000],
      ['ready', 0],
    ]);
  });

  it('a cool-down that passed meanwhile is over, without a word', async () => {
    const before = new KeysRig(TWO);
    await before.answer(429, ['retry-after', '60']);
    const after = next(leftBy(before), new KeysRig(TWO), MINUTE);
    expect(after.keys).toEqual([
      ['ready', 0],
      ['ready', 0],
    ]);
    expect(after.kit.events.all).toEqual([]);
  });

  it('the next cool-down in a row is the longer one', async () => {
    const before = new KeysRig(TWO, { coolDown: { initial: '10s' } });
    await before.answer(429);
    const after = next(leftBy(before), new KeysRig(TWO, { coolDown: { initial: '10s' } }), 30_000);
    await after.answer(429);
    expect(after.policy.keys[0]?.waitMs).toBeGreaterThanOrEqual(20_000);
  });

  it('a key that is out until somebody says so still is', async () => {
    const options = { retryOutAfter: false };
    const before = new KeysRig(TWO, options);
    await before.answer(401);
    const after = next(leftBy(before), new KeysRig(TWO, options), DAY);
    expect(after.keys).toEqual([
      ['out', Number.POSITIVE_INFINITY],
      ['ready', 0],
    ]);
    expect(next(leftBy(before), new KeysRig(TWO, { retryOutAfter: '10m' })).keys).toEqual([
      ['out', 10 * MINUTE],
      ['ready', 0],
    ]);
  });

  it('what was known of a value holds for it under another name, and for no other value', async () => {
    const before = new KeysRig(TWO);
    await before.answer(401);
    const after = next(leftBy(before), new KeysRig(['sk-new-secret', 'sk-one-secret']));
    expect(after.policy.keys.map(({ state }) => state)).toEqual(['ready', 'out']);
  });

  it('neither a key nor a part of it is left', async () => {
    const before = new KeysRig(TWO);
    await before.answer(401);
    const text = JSON.stringify(leftBy(before));
    expect(text).toContain('"out"');
    expect(text).not.toMatch(/sk-|secret/);
  });
});
