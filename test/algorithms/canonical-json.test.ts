import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/algorithms/canonical-json.ts';

/** The same value, its members in another order, with blanks. */
function shuffled(value: unknown): string {
  if (Array.isArray(value)) return `[ ${value.map(shuffled).join(' ,\n')} ]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, one]) => ` ${escaped(name)}\t: ${shuffled(one)}`);
  return `{${members.reverse().join(' ,')}\r\n}`;
}

const escaped = (text: string): string =>
  `"${[...text].map((character) => (character.length === 1 ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : character)).join('')}"`;

describe('canonical JSON', () => {
  it('is the same for the same value, however it was written', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const plain = canonicalJson(JSON.stringify(value));
        expect(canonicalJson(shuffled(value))).toBe(plain);
        expect(JSON.parse(plain ?? '')).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it.each([
    ['12345678901234567890', '12345678901234567891'],
    ['1', '1.0'],
    ['1', '"1"'],
    ['[1,2]', '[2,1]'],
    ['{}', '[]'],
    ['{"a":{"b":1}}', '{"a":1,"b":1}'],
    ['"a b"', '"ab"'],
    ['-0', '0'],
  ])('tells %s from %s', (one, other) => {
    expect(canonicalJson(one)).toBeDefined();
    expect(canonicalJson(one)).not.toBe(canonicalJson(other));
  });

  it.each(['', '{', '[1,]', "{'a':1}", 'NaN', '1 2', '\ufeff{}', '{"a":1}x'])(
    'has none for what is no JSON: %j',
    (text) => {
      expect(canonicalJson(text)).toBeUndefined();
    },
  );

  it.each(['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '[{"b":{"c":0,"c":0}}]'])(
    'has none where readers may differ on which member counts: %s',
    (text) => {
      expect(canonicalJson(text)).toBeUndefined();
    },
  );

  it('has none for nesting that nobody needs, and does not break on it', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    expect(canonicalJson(nested(200))).toBeDefined();
    expect(canonicalJson(nested(201))).toBeUndefined();
    expect(canonicalJson(nested(100_000))).toBeUndefined();
    expect(canonicalJson('{"__proto__":1,"constructor":2}')).toBe('{"__proto__":1,"constructor":2}');
  });
});
