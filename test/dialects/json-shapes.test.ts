import { describe, expect, it } from 'vitest';
import { asNumber, lastPathOf, withoutEndSlashes } from '../../src/dialects/json-shapes.ts';

describe('asNumber', () => {
  it.each([
    [0, 0],
    [12.5, 12.5],
    [-1, undefined],
    [1e300, undefined],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
    ['7', undefined],
    [null, undefined],
  ])('takes %s for %s: sums of nonsense would be nonsense for ever', (value, expected) => {
    expect(asNumber(value)).toBe(expected);
  });
});

describe('paths', () => {
  it.each([
    ['/v1/chat/completions', 2, 'chat/completions'],
    ['/v1/chat/completions/?a=/b', 2, 'chat/completions'],
    ['/', 1, ''],
    ['', 1, ''],
  ])('the end of %s', (target, segments, expected) => {
    expect(lastPathOf(target, segments)).toBe(expected);
  });

  it('lose any number of slashes at their end', () => {
    expect(withoutEndSlashes(`/a${'/'.repeat(100_000)}`)).toBe('/a');
    expect(withoutEndSlashes('///')).toBe('');
  });
});
