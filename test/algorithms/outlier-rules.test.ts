import { describe, expect, it } from 'vitest';
import { EndpointHistory, outlierReason } from '../../src/algorithms/outlier-rules.ts';
import type { OutlierReason, OutlierRules } from '../../src/algorithms/outlier-rules.ts';
import type { Tried } from '../../src/algorithms/share-bounds.ts';
import { seededRandom } from '../../src/core/random.ts';

const WINDOW_MS = 300_000;

const RULES: OutlierRules = {
  connectFailures: 1,
  consecutiveFailures: 5,
  failureRatio: 0.5,
  aboveSiblings: 0.05,
  minimumCalls: 5,
};

const SHARES_ONLY: OutlierRules = { ...RULES, connectFailures: false, consecutiveFailures: false };

const NOBODY: Tried = { calls: 0, failures: 0 };

/** A history: `.` success, `x` failure, `c` not reached, `a` an answer that proves nothing. */
function historyOf(calls: string): EndpointHistory {
  const history = new EndpointHistory(WINDOW_MS);
  for (const call of calls) {
    if (call === '.') history.succeeded(0);
    else if (call === 'a') history.answered();
    else history.failed(0, call === 'x');
  }
  return history;
}

const reasonOf = (calls: string, siblings: Tried, rules: OutlierRules): OutlierReason | undefined => {
  const history = historyOf(calls);
  return outlierReason(history, history.tried(0), siblings, rules);
};

describe('outlierReason', () => {
  it.each<[string, OutlierReason | undefined]>([
    ['', undefined],
    ['....', undefined],
    ['c', 'connect'],
    ['xxxx', undefined],
    ['xxxxx', 'consecutive'],
    ['xxxx.', undefined],
    ['xxxx.x', undefined],
    ['xxaxaxx', 'consecutive'],
  ])('after %j it is %s', (calls, reason) => {
    expect(reasonOf(calls, NOBODY, { ...RULES, failureRatio: false })).toBe(reason);
  });

  it('a failure to reach it counts no more once somebody was there', () => {
    const twice = { ...SHARES_ONLY, connectFailures: 2 };
    expect(reasonOf('cc', NOBODY, twice)).toBe('connect');
    for (const between of '.xa') expect(reasonOf(`c${between}c`, NOBODY, twice)).toBeUndefined();
  });

  it('a share counts once it is proven, not as soon as it is seen', () => {
    expect(reasonOf('xxx.xx', NOBODY, SHARES_ONLY)).toBeUndefined();
    expect(reasonOf('xxxxxx.xxxxx.xxxxxx', NOBODY, SHARES_ONLY)).toBe('ratio');
  });

  it('siblings that fare better make the difference, such that fare as badly do not', () => {
    expect(reasonOf('xx.xx.', { calls: 12, failures: 0 }, SHARES_ONLY)).toBe('siblings');
    expect(reasonOf('xx.xx.', { calls: 12, failures: 8 }, SHARES_ONLY)).toBeUndefined();
    expect(reasonOf('xx.xx.', { calls: 4, failures: 0 }, SHARES_ONLY)).toBeUndefined();
  });

  it('each rule can be switched off', () => {
    const none = { ...SHARES_ONLY, failureRatio: false, aboveSiblings: false } as const;
    expect(reasonOf('c'.repeat(50), { calls: 50, failures: 0 }, none)).toBeUndefined();
  });

  it('what is older than the window does not count', () => {
    const history = historyOf('xx.xx.');
    expect(history.tried(WINDOW_MS * 2)).toEqual(NOBODY);
  });
});

interface Scenario {
  /** Chance of each endpoint that a call to it fails. */
  readonly shares: readonly number[];
  readonly callsPerMinute: number;
  readonly minutes: number;
}

/** Milliseconds at which the rules say that an endpoint is an outlier; it begins anew then. Calls go round. */
function ejections({ shares, callsPerMinute, minutes }: Scenario, seed: number): number[] {
  const random = seededRandom(seed);
  const histories = shares.map(() => new EndpointHistory(WINDOW_MS));
  const found: number[] = [];
  for (let n = 0; n < callsPerMinute * minutes; n++) {
    const now = (n * 60_000) / callsPerMinute;
    const index = n % shares.length;
    const history = histories[index] as EndpointHistory;
    if (random.next() >= (shares[index] ?? 0)) {
      history.succeeded(now);
      continue;
    }
    history.failed(now, true);
    const others = histories.filter((one) => one !== history).map((one) => one.tried(now));
    const siblings = others.reduce((sum, { calls, failures }) => ({
      calls: sum.calls + calls,
      failures: sum.failures + failures,
    }));
    if (!outlierReason(history, history.tried(now), siblings, SHARES_ONLY)) continue;
    found.push(now);
    history.clear();
  }
  return found;
}

const DAY = 1_440;

describe('two endpoints and few calls', () => {
  it.each([
    { callsPerMinute: 5, share: 0.01, perDay: 0.05 },
    { callsPerMinute: 5, share: 0.05, perDay: 0.1 },
    { callsPerMinute: 5, share: 0.1, perDay: 0.5 },
    { callsPerMinute: 5, share: 0.3, perDay: 8 },
    { callsPerMinute: 60, share: 0.1, perDay: 1 },
  ])(
    'at $callsPerMinute calls a minute, equals that fail $share of them are told apart at most $perDay times a day',
    ({ callsPerMinute, share, perDay }) => {
      const days = callsPerMinute > 5 ? 4 : 20;
      let found = 0;
      for (let seed = 1; seed <= days; seed++)
        found += ejections({ shares: [share, share], callsPerMinute, minutes: DAY }, seed).length;
      expect(found / days).toBeLessThanOrEqual(perDay);
    },
  );

  it.each([
    { callsPerMinute: 5, shares: [0.8, 0.01], withinMs: 240_000 },
    { callsPerMinute: 5, shares: [0.5, 0.01], withinMs: 900_000 },
    { callsPerMinute: 60, shares: [0.3, 0.01], withinMs: 150_000 },
    { callsPerMinute: 600, shares: [0.15, 0.01], withinMs: 60_000 },
  ])(
    'at $callsPerMinute calls a minute, $shares are told apart within $withinMs ms nine times of ten',
    ({ callsPerMinute, shares, withinMs }) => {
      const firsts = Array.from(
        { length: 40 },
        (_, seed) => ejections({ shares, callsPerMinute, minutes: 20 }, seed)[0] ?? Number.POSITIVE_INFINITY,
      );
      expect(firsts.sort((a, b) => a - b)[35]).toBeLessThanOrEqual(withinMs);
    },
  );
});
