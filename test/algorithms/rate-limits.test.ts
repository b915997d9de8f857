import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyedRateLimits } from '../../src/algorithms/keyed-rate-limits.ts';
import type { Dimension, LimitReading } from '../../src/algorithms/rate-limit-headers.ts';
import { RateLimits } from '../../src/algorithms/rate-limits.ts';
import type { Demand } from '../../src/algorithms/rate-limits.ts';

const ONE: Demand = { input: 0, output: 0 };
const SECOND = 1_000;
const MINUTE = 60_000;

const reading = (
  remaining: number,
  resetInMs: number | undefined,
  limit: number | undefined = 10,
  dimension: Dimension = 'requests',
): ReadonlyMap<Dimension, LimitReading> => new Map([[dimension, { limit, remaining, resetInMs }]]);

/** A call that began at `startedAt` and whose answer came at `now`. */
function heard(
  limits: RateLimits,
  news: ReadonlyMap<Dimension, LimitReading>,
  { startedAt, now }: { startedAt: number; now: number },
): void {
  const sent = limits.begin(ONE, startedAt);
  limits.settle(sent);
  limits.observe(sent, news, now);
}

const told = (remaining: number, resetInMs: number | undefined, limit?: number): RateLimits => {
  const limits = new RateLimits();
  heard(limits, reading(remaining, resetInMs, limit), { startedAt: 0, now: 0 });
  return limits;
};

const isFree = (limits: RateLimits, now: number, demand = ONE): boolean =>
  limits.turnOf(demand, now).at <= now;

describe('rate limits', () => {
  it('hold nobody while nobody has said anything', () => {
    const limits = new RateLimits();
    for (let i = 0; i < 100; i++) limits.begin(ONE, 0);
    expect(isFree(limits, 0)).toBe(true);
    expect(limits.states(0)).toEqual([]);
  });

  it('hold everyone until the reset once nothing is left, and say what stands in the way', () => {
    const limits = told(0, 30 * SECOND);
    expect(limits.turnOf(ONE, 10 * SECOND)).toEqual({ at: 30 * SECOND, obstacle: 'requests', sudden: true });
    expect(isFree(limits, 30 * SECOND)).toBe(true);
  });

  it('take off what is under way', () => {
    const limits = told(3, 30 * SECOND);
    const sent = [0, 1, 2].map((ms) => limits.begin(ONE, 100 + ms));
    expect(isFree(limits, 200)).toBe(false);
    expect(limits.states(200)).toEqual([{ dimension: 'requests', limit: 10, remaining: 0 }]);
    if (sent[0]) limits.settle(sent[0]);
    expect(isFree(limits, 200)).toBe(true);
  });

  it('do not take off again what the provider had counted when it spoke', () => {
    const limits = new RateLimits();
    for (let i = 0; i < 5; i++) limits.begin(ONE, 0);
    heard(limits, reading(1, 30 * SECOND), { startedAt: 5 * SECOND, now: 6 * SECOND });
    expect(isFree(limits, 6 * SECOND)).toBe(true);
  });

  it('believe the lowest of several answers to calls that went together, in whatever order they come', () => {
    for (const order of [
      [5, 7, 6],
      [7, 6, 5],
      [6, 5, 7],
    ]) {
      const limits = new RateLimits();
      const burst = order.map((remaining) => ({ remaining, sent: limits.begin(ONE, 0) }));
      for (const { remaining, sent } of burst) {
        limits.settle(sent);
        limits.observe(sent, reading(remaining, MINUTE), 500);
      }
      expect(limits.states(500)).toEqual([{ dimension: 'requests', limit: 10, remaining: 5 }]);
    }
  });

  it('do not believe an answer that took long more than one to a later call', () => {
    const limits = new RateLimits();
    const slow = limits.begin(ONE, 0);
    heard(limits, reading(2, MINUTE), { startedAt: 10 * SECOND, now: 11 * SECOND });
    limits.settle(slow);
    limits.observe(slow, reading(9, MINUTE), 20 * SECOND);
    expect(limits.states(20 * SECOND)).toEqual([{ dimension: 'requests', limit: 10, remaining: 2 }]);
  });

  it('do not believe an answer to a call of the window before', () => {
    const limits = new RateLimits();
    const slow = limits.begin(ONE, 5 * SECOND);
    heard(limits, reading(3, 10 * SECOND), { startedAt: 6 * SECOND, now: 6 * SECOND });
    limits.settle(slow);
    limits.observe(slow, reading(0, 10 * SECOND), 20 * SECOND);
    expect(isFree(limits, 20 * SECOND)).toBe(true);
  });

  it('take everything for there after the reset, but for what went since', () => {
    const limits = told(0, 10 * SECOND, 2);
    limits.begin(ONE, 10 * SECOND);
    expect(isFree(limits, 11 * SECOND)).toBe(true);
    limits.begin(ONE, 11 * SECOND);
    expect(limits.turnOf(ONE, 11 * SECOND).at).toBe(Number.POSITIVE_INFINITY);
  });

  it('stay as they are within a window: a reset that is heard of late moves nothing', () => {
    const limits = told(5, 20 * SECOND);
    heard(limits, reading(0, 19 * SECOND), { startedAt: SECOND, now: 3 * SECOND });
    expect(limits.turnOf(ONE, 3 * SECOND)).toMatchObject({ at: 20 * SECOND, sudden: true });
  });

  describe('of a bucket', () => {
    /** Ten a minute; the reset recedes with all that is taken. */
    const drained = (): RateLimits => {
      const limits = told(8, 12 * SECOND);
      heard(limits, reading(4, 36 * SECOND), { startedAt: 5 * SECOND, now: 5 * SECOND });
      heard(limits, reading(0, MINUTE), { startedAt: 10 * SECOND, now: 10 * SECOND });
      return limits;
    };

    it('come back bit by bit, once the reset has been seen to recede', () => {
      const turn = drained().turnOf(ONE, 10 * SECOND);
      expect(turn.at).toBeCloseTo(16 * SECOND);
      expect(turn.sudden).toBe(false);
      expect(isFree(drained(), 16 * SECOND + 1)).toBe(true);
    });

    it('are shown as what has come back by now', () => {
      expect(drained().states(40 * SECOND)).toEqual([{ dimension: 'requests', limit: 10, remaining: 5 }]);
    });

    it('are taken for a window again when calls in a row were turned away all the same', () => {
      const limits = drained();
      for (const at of [16 * SECOND, 17 * SECOND]) {
        const sent = limits.begin(ONE, at);
        limits.settle(sent);
        limits.turnedAway(sent, at + 50);
      }
      expect(limits.turnOf(ONE, 18 * SECOND)).toMatchObject({ at: 70 * SECOND, sudden: true });
    });
  });

  describe('of tokens', () => {
    const tokens = (remaining: number, dimension: Dimension): RateLimits => {
      const limits = new RateLimits();
      heard(limits, reading(remaining, MINUTE, 1_000, dimension), { startedAt: 0, now: 0 });
      return limits;
    };

    it.each([
      ['tokens', { input: 60, output: 41 }, { input: 60, output: 40 }],
      ['input-tokens', { input: 101, output: 0 }, { input: 100, output: 999 }],
    ] as const)('count %s by what a call asks for', (dimension, tooMuch, enough) => {
      const limits = tokens(100, dimension);
      expect(limits.countsTokens).toBe(true);
      expect([isFree(limits, 0, tooMuch), isFree(limits, 0, enough)]).toEqual([false, true]);
    });

    it.each([501, 1_000, 5_000])('let a call that asks for %i of 1000 go once half is there', (input) => {
      const huge = { input, output: 0 };
      const limits = tokens(499, 'tokens');
      expect(limits.turnOf(huge, 0).at).toBe(MINUTE);
      expect(isFree(limits, MINUTE, huge)).toBe(true);
      expect(isFree(tokens(500, 'tokens'), 0, huge)).toBe(true);
    });

    it('leave room for others beside such a call while it is under way', () => {
      const limits = tokens(990, 'tokens');
      limits.begin({ input: 500_000, output: 0 }, 1);
      expect(limits.states(2)).toMatchObject([{ remaining: 490 }]);
      expect(isFree(limits, 2, { input: 490, output: 0 })).toBe(true);
      expect(isFree(limits, MINUTE, { input: 500, output: 0 })).toBe(true);
    });

    it('reserve nothing of output-tokens for what a call may answer, but ask for something left', () => {
      const most = { input: 999, output: 32_000 };
      expect(isFree(tokens(100, 'output-tokens'), 0, most)).toBe(true);
      expect(isFree(tokens(0, 'output-tokens'), 0, most)).toBe(false);
    });

    it('are not counted where only requests are limited', () => {
      expect(told(1, MINUTE).countsTokens).toBe(false);
    });
  });

  it('pause only ever later', () => {
    const limits = new RateLimits();
    limits.pauseUntil(5 * SECOND, 0);
    limits.pauseUntil(2 * SECOND, 0);
    expect(limits.turnOf(ONE, 0)).toEqual({ at: 5 * SECOND, obstacle: 'throttled', sudden: true });
    expect(isFree(limits, 5 * SECOND)).toBe(true);
  });

  it('end a pause with the success of a call that went after it was asked for, and of no other', () => {
    const limits = new RateLimits();
    const early = limits.begin(ONE, 0);
    limits.pauseUntil(MINUTE, 10);
    expect([limits.admitted(early, 20), isFree(limits, 20)]).toEqual([false, false]);
    expect([limits.admitted(limits.begin(ONE, 11), 30), isFree(limits, 30)]).toEqual([true, true]);
    expect(limits.admitted(limits.begin(ONE, 40), 50)).toBe(false);
  });

  it('count only refusals of calls that went after the last one was heard', () => {
    const limits = new RateLimits();
    const burst = [limits.begin(ONE, 0), limits.begin(ONE, 0), limits.begin(ONE, 0)];
    expect(burst.map((sent, i) => limits.turnedAway(sent, 100 + i))).toEqual([1, 1, 1]);
    expect(limits.turnedAway(limits.begin(ONE, 500), 600)).toBe(2);
    limits.admitted(limits.begin(ONE, 700), 700);
    expect(limits.turnedAway(limits.begin(ONE, 800), 900)).toBe(1);
  });

  it('without a reset count for ten seconds', () => {
    const limits = told(0, undefined);
    expect([isFree(limits, 9 * SECOND), isFree(limits, 10 * SECOND)]).toEqual([false, true]);
  });

  it('may be out of date after a minute without a word and without a call under way', () => {
    const limits = told(0, 24 * 3_600 * SECOND);
    expect([limits.isSilent(59 * SECOND), limits.isSilent(MINUTE)]).toEqual([false, true]);
    const sent = limits.begin(ONE, MINUTE);
    expect(limits.isSilent(2 * MINUTE)).toBe(false);
    limits.settle(sent);
    expect(limits.isSilent(2 * MINUTE)).toBe(true);
  });

  it('always name an instant at which a call may go, whatever was said in whatever order', () => {
    const news = fc.record({
      remaining: fc.nat(20),
      limit: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
      resetInMs: fc.option(fc.nat(90_000), { nil: undefined }),
      beganMsAgo: fc.nat(40_000),
      laterMs: fc.nat(30_000),
      turnedAway: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(news, { maxLength: 20 }), fc.nat(30), (all, input) => {
        const limits = new RateLimits();
        let now = 0;
        for (const { remaining, limit, resetInMs, beganMsAgo, laterMs, turnedAway } of all) {
          now += laterMs;
          const sent = limits.begin(ONE, now - beganMsAgo);
          limits.settle(sent);
          if (turnedAway) limits.turnedAway(sent, now);
          limits.observe(sent, reading(remaining, resetInMs, limit, 'requests'), now);
          limits.observe(sent, reading(remaining, resetInMs, limit, 'tokens'), now);
        }
        const demand = { input, output: 0 };
        for (let steps = 0; !isFree(limits, now, demand); steps++) {
          expect(steps).toBeLessThan(5);
          const { at } = limits.turnOf(demand, now);
          expect(at).toBeGreaterThan(now);
          expect(at).toBeLessThanOrEqual(now + 90_000);
          now = at;
        }
      }),
    );
  });
});

describe('rate limits by key', () => {
  it('let a call go as soon as any key has room, on the account of that key', () => {
    const keyed = new KeyedRateLimits();
    keyed.announce(['first', 'second']);
    heard(keyed.of('first'), reading(0, MINUTE), { startedAt: 0, now: 0 });
    expect(keyed.turnOf(ONE, 0).at).toBeLessThanOrEqual(0);
    heard(keyed.of('second'), reading(1, MINUTE), { startedAt: 0, now: 0 });
    expect(keyed.turnOf(ONE, 0).at).toBeLessThanOrEqual(0);
    expect(keyed.begin(ONE, 0).limits).toBe(keyed.of('second'));
    expect(keyed.turnOf(ONE, 0).at).toBe(MINUTE);
    expect(keyed.states(0)).toEqual([{ dimension: 'requests', limit: 10, remaining: 0 }]);
    expect(keyed.countsTokens).toBe(false);
    expect([keyed.isSilent(0), keyed.isSilent(MINUTE)]).toEqual([false, false]);
  });

  it('are paused when all of them are', () => {
    const keyed = new KeyedRateLimits();
    keyed.announce(['first', 'second']);
    keyed.of('first').pauseUntil(5, 0);
    keyed.of('second').pauseUntil(3, 0);
    expect(keyed.pausedUntil).toBe(3);
  });

  it('share one account while no credentials are announced, whatever calls say', () => {
    const keyed = new KeyedRateLimits();
    const { limits } = keyed.begin(ONE, 0);
    expect([keyed.of(undefined), keyed.of('first')]).toEqual([limits, limits]);
    expect(keyed.of('first')).toBe(limits);
  });

  it('keep nothing of a credential that was not announced, so that it gives no room', () => {
    const keyed = new KeyedRateLimits();
    keyed.announce(['first']);
    heard(keyed.of('first'), reading(0, MINUTE), { startedAt: 0, now: 0 });
    for (const unknown of ['second', '', undefined]) keyed.of(unknown).pauseUntil(9 * MINUTE, 0);
    expect(keyed.turnOf(ONE, 0).at).toBe(MINUTE);
  });

  it('are one account for a credential that is announced twice', () => {
    const keyed = new KeyedRateLimits();
    keyed.announce(['first', 'first']);
    heard(keyed.of('first'), reading(0, MINUTE), { startedAt: 0, now: 0 });
    expect(keyed.turnOf(ONE, 0).at).toBe(MINUTE);
  });

  it('begin anew with one account once the credentials are gone', () => {
    const keyed = new KeyedRateLimits();
    keyed.announce(['first', 'second']);
    keyed.announce([]);
    const { limits } = keyed.begin(ONE, 0);
    heard(keyed.of(undefined), reading(0, MINUTE), { startedAt: 0, now: 0 });
    expect(keyed.of(undefined)).toBe(limits);
    expect(keyed.turnOf(ONE, 0).at).toBe(MINUTE);
  });

  it('count no room of a credential that is not accepted, until a call with it succeeds', () => {
    const keyed = new KeyedRateLimits();
    keyed.announce(['first', 'second']);
    heard(keyed.of('first'), reading(0, MINUTE), { startedAt: 0, now: 0 });
    const second = keyed.of('second');
    const early = second.begin(ONE, 1);
    second.disowned(second.begin(ONE, 2));
    second.admitted(early, 3);
    expect(keyed.turnOf(ONE, 3).at).toBe(MINUTE);
    second.admitted(second.begin(ONE, 4), 5);
    expect(keyed.turnOf(ONE, 5).at).toBeLessThan(5);
  });

  it('count all of them where none is accepted', () => {
    const keyed = new KeyedRateLimits();
    const only = keyed.of(undefined);
    only.disowned(only.begin(ONE, 0));
    expect(keyed.turnOf(ONE, 0).at).toBeLessThan(0);
  });
});
