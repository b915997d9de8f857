import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CacheControl } from '../../src/algorithms/cache-control.ts';

describe('Cache-Control', () => {
  it('reads names in any case, arguments quoted or not, over several fields', () => {
    const control = new CacheControl(['Max-Age=5 , PRIVATE="a, b"', 's-maxage="7",no-cache']);
    expect(control.ms('max-age')).toBe(5_000);
    expect(control.ms('s-maxage')).toBe(7_000);
    expect(['private', 'no-cache', 'a', 'b'].map((name) => control.has(name))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect([control.hasBare('no-cache'), control.hasBare('private')]).toEqual([true, false]);
    expect(control.ms('min-fresh')).toBeUndefined();
  });

  it.each([
    ['max-age=60, max-age=10', 10_000],
    ['max-age=60, max-age', 0],
    ['max-age=-1', 0],
    ['max-age=1.5', 0],
    ['max-age=0x10', 0],
    ['max-age=', 0],
    ['max-age = 3', 3_000],
    ['max-age=99999999999999999999', 2 ** 31 * 1_000],
  ])('takes the shorter of two times, and none that cannot be read: %s', (text, ms) => {
    expect(new CacheControl([text]).ms('max-age')).toBe(ms);
  });

  it('misses no word behind a quote that never ends', () => {
    expect(new CacheControl(['x="a, no-store']).has('no-store')).toBe(true);
    expect(new CacheControl(['x="a\\", no-store", private']).has('private')).toBe(true);
  });

  it('never throws, and takes its time in proportion', () => {
    fc.assert(fc.property(fc.array(fc.string()), (values) => void new CacheControl(values).ms('max-age')));
    const hostile = [
      'a'.repeat(60_000),
      ' '.repeat(60_000),
      '"'.repeat(60_000),
      'a="'.repeat(20_000),
      'a= '.repeat(20_000),
    ];
    for (const text of hostile) expect(new CacheControl([text]).has('no-store')).toBe(false);
  });
});
