import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import {
  FAULT_KINDS,
  drawLuck,
  errorStatusOf,
  faultNamed,
  faultOf,
  latencyOf,
} from '../../src/playground/faults.ts';
import type { Fault } from '../../src/playground/faults.ts';
import { playgroundFaultsSchema } from '../../src/playground/schema.ts';

const luckOf = (value: number) => ({ fault: value, status: value, latency: value });

describe('drawing faults', () => {
  it('meets every ratio within four standard deviations', () => {
    const ratios = { error: 0.2, throttle: 0.1, reset: 0.05, stall: 0.03, cut: 0.15, slow: 0.07, none: 0.4 };
    const faults = playgroundFaultsSchema.parse(
      Object.fromEntries(FAULT_KINDS.map((kind) => [`${kind}Ratio`, ratios[kind]])),
    );
    const random = seededRandom(11);
    const draws = 20_000;
    const seen = new Map<Fault, number>();
    for (let i = 0; i < draws; i++) {
      const fault = faultOf(faults, drawLuck(random));
      seen.set(fault, (seen.get(fault) ?? 0) + 1);
    }
    for (const [fault, ratio] of Object.entries(ratios)) {
      const deviation = Math.sqrt(draws * ratio * (1 - ratio));
      const distance = Math.abs((seen.get(fault as Fault) ?? 0) - draws * ratio);
      expect(distance, fault).toBeLessThan(4 * deviation);
    }
  });

  it('finds none where all ratios are 0, and always one where a ratio is 1', () => {
    const never = playgroundFaultsSchema.parse({});
    const always = playgroundFaultsSchema.parse({ slowRatio: 1 });
    for (const value of [0, 0.5, 1 - 2 ** -32]) {
      expect(faultOf(never, luckOf(value))).toBe('none');
      expect(faultOf(always, luckOf(value))).toBe('slow');
    }
  });

  it('knows faults by their names, and nothing else', () => {
    for (const kind of [...FAULT_KINDS, 'none']) expect(faultNamed(kind)).toBe(kind);
    for (const name of ['', 'Error', 'toString', 'timeout']) expect(faultNamed(name)).toBeUndefined();
  });

  it('chooses each of the configured statuses', () => {
    const faults = playgroundFaultsSchema.parse({ errorStatuses: [500, 502, 529] });
    expect([0, 0.4, 0.99].map((value) => errorStatusOf(faults, luckOf(value)))).toEqual([500, 502, 529]);
  });

  it('spreads latency between min and max and adds the delay of a slow answer', () => {
    const faults = playgroundFaultsSchema.parse({ slowBy: '1s', latency: { min: '10ms', max: '30ms' } });
    expect(latencyOf(faults, luckOf(0), 'none')).toBe(10);
    expect(latencyOf(faults, luckOf(0.5), 'cut')).toBe(20);
    expect(latencyOf(faults, luckOf(0.5), 'slow')).toBe(1_020);
  });
});
