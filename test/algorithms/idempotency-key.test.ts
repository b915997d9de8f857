import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bodyDigest,
  digestOf,
  readIdempotencyKey,
  writtenKey,
} from '../../src/algorithms/idempotency-key.ts';

const read = (...values: string[]) => readIdempotencyKey(values, 20);

describe('readIdempotencyKey', () => {
  it.each([
    ['abc', 'abc'],
    ['  abc ', 'abc'],
    ['"abc"', 'abc'],
    ['"a b,c"', 'a b,c'],
    [String.raw`"a\"b\\c"`, String.raw`a"b\c`],
    ['a:b=c;d', 'a:b=c;d'],
    ['12345678901234567890', '12345678901234567890'],
    ['"12345678901234567890"', '12345678901234567890'],
    [String.raw`"1234567890123456789\""`, '1234567890123456789"'],
  ])('reads %s as %s', (value, key) => {
    expect(read(value)).toEqual({ key });
  });

  it.each([
    '',
    '  ',
    '""',
    '"abc',
    'abc"',
    'a"b',
    'a b',
    'a,b',
    '"a";v=1',
    'grün',
    '"grün"',
    String.raw`"a\b"`,
  ])('cannot read %j', (value) => {
    expect(read(value)).toEqual({ problem: 'the key is empty or has characters that no key may have' });
  });

  it('takes no two keys for one, not even equal ones', () => {
    expect(read('a', 'a')).toEqual({ problem: 'the request has more than one key' });
  });

  it('has a bound for the key', () => {
    expect(read('123456789012345678901')).toEqual({ problem: 'the key is longer than 20 characters' });
  });

  it('finds none where there is no field', () => {
    expect(read()).toBeUndefined();
  });

  it('reads what it writes', () => {
    const key = fc.string({
      unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(key, (one) => {
        expect(read(writtenKey(one))).toEqual({ key: one });
      }),
    );
  });
});

describe('digests', () => {
  it('keep their parts apart', () => {
    const all = [digestOf('a', 'b'), digestOf('ab'), digestOf('a', 'b', ''), digestOf('', 'a', 'b')];
    const more = [digestOf('a', undefined, 'b'), digestOf('a', 'null', 'b'), digestOf('a","b')];
    expect(new Set([...all, ...more]).size).toBe(7);
    expect(digestOf('a', 'b')).toBe(digestOf('a', 'b'));
    expect(digestOf('a')).toMatch(/^[0-9a-f]{64}$/);
  });

  it('take no body for an empty one', () => {
    expect(bodyDigest(null)).toBe(bodyDigest(new Uint8Array()));
    expect(bodyDigest(Buffer.from('a'))).not.toBe(bodyDigest(null));
  });
});
