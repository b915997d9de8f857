import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HealthJudge } from '../../src/algorithms/health-judge.ts';
import type { CheckResult } from '../../src/algorithms/health-judge.ts';
import type { Health } from '../../src/core/endpoint.ts';

const RULES = { rise: 2, fall: 3 };
const judge = (health: Health, graceEndsAt = 0): HealthJudge =>
  new HealthJudge(RULES, { health, graceEndsAt });

const after = (one: HealthJudge, results: readonly CheckResult[], now = 100): Health[] =>
  results.map((result) => one.observe(result, now));

describe('what is thought of an endpoint', () => {
  it('becomes unhealthy with `fall` failures in a row', () => {
    expect(after(judge('healthy'), ['failed', 'failed', 'failed'])).toEqual([
      'healthy',
      'healthy',
      'unhealthy',
    ]);
    expect(after(judge('healthy'), ['failed', 'failed', 'ok', 'failed', 'failed']).at(-1)).toBe('healthy');
  });

  it('becomes well again with `rise` successes in a row', () => {
    expect(after(judge('unhealthy'), ['ok', 'failed', 'ok', 'ok'])).toEqual([
      'unhealthy',
      'unhealthy',
      'unhealthy',
      'healthy',
    ]);
  });

  it('is well with its first success, when it has just come', () => {
    expect(after(judge('starting'), ['ok'])).toEqual(['healthy']);
  });

  it('is not spoilt by failures while it starts', () => {
    const one = judge('starting', 1_000);
    expect(after(one, ['failed', 'failed', 'failed', 'failed'], 999).at(-1)).toBe('starting');
    expect(one.observe('failed', 1_000)).toBe('unhealthy');
  });

  it('has no more grace once it has been well', () => {
    const one = judge('starting', 1_000);
    expect(after(one, ['ok', 'failed', 'failed', 'failed'], 10).at(-1)).toBe('unhealthy');
  });

  it('follows what it says of itself at once, as long as it is well', () => {
    expect(after(judge('healthy'), ['degraded', 'ok'])).toEqual(['degraded', 'healthy']);
    expect(after(judge('unhealthy'), ['degraded', 'degraded'])).toEqual(['unhealthy', 'degraded']);
  });

  it('is in doubt while the next check may change it', () => {
    expect([judge('starting').inDoubt, judge('unknown').inDoubt]).toEqual([true, true]);
    const one = judge('healthy');
    const doubts = (['failed', 'ok', 'failed', 'failed', 'failed', 'ok', 'ok'] as const).map((result) => {
      one.observe(result, 100);
      return one.inDoubt;
    });
    expect(doubts).toEqual([true, false, true, true, false, true, false]);
  });

  it('changes between well and ill only after enough results of one kind in a row', () => {
    const results = fc.array(fc.constantFrom<CheckResult>('ok', 'degraded', 'failed'), { maxLength: 60 });
    fc.assert(
      fc.property(
        results,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        (all, rise, fall) => {
          const one = new HealthJudge({ rise, fall }, { health: 'healthy', graceEndsAt: 0 });
          let row = 0;
          let last: boolean | undefined;
          let ill = false;
          for (const result of all) {
            const failed = result === 'failed';
            row = failed === last ? row + 1 : 1;
            last = failed;
            if (failed ? row >= fall : !ill || row >= rise) ill = failed;
            expect(one.observe(result, 0) === 'unhealthy').toBe(ill);
            expect([one.successes, one.failures]).toEqual(failed ? [0, row] : [row, 0]);
          }
        },
      ),
    );
  });
});
