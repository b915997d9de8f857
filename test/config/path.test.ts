import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatPath, parsePath } from '../../src/config/path.ts';

describe('path', () => {
  it('joins names with dots and puts indexes in brackets', () => {
    expect(formatPath(['upstreams', 'openai', 'endpoints', 0, 'url'])).toBe(
      'upstreams.openai.endpoints[0].url',
    );
  });

  it('quotes names that would read as something else', () => {
    expect(formatPath(['upstreams', 'gpt-4.1', '7'])).toBe('upstreams."gpt-4.1"."7"');
  });

  it('is empty for the root', () => {
    expect(formatPath([])).toBe('');
  });

  it('leaves a bare number as text, for it may be a name', () => {
    expect(parsePath('endpoints.0.url')).toEqual(['endpoints', '0', 'url']);
  });

  it.each(['', '.a', 'a..b', 'a[x]', 'a[0', 'a."b', 'a.'])('refuses %j', (text) => {
    expect(parsePath(text)).toBeUndefined();
  });

  it('reads back every path that it writes', () => {
    const segment = fc.oneof(fc.string({ minLength: 1 }), fc.nat(99));
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.array(segment), (first, rest) => {
        expect(parsePath(formatPath([first, ...rest]))).toEqual([first, ...rest]);
      }),
    );
  });
});
