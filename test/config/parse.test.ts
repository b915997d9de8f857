import { describe, expect, it } from 'vitest';
import type { ParseLimits } from '../../src/config/compose.ts';
import { parseYaml } from '../../src/config/parse.ts';
import { SourceText } from '../../src/config/source-text.ts';
import { nodeAt } from '../../src/config/tree.ts';
import type { Place } from '../../src/config/tree.ts';
import type { Path } from '../../src/config/path.ts';
import { cpuMs } from '../support/cpu-time.ts';

const parse = (text: string, limits?: ParseLimits) => parseYaml(new SourceText('c.yaml', text), limits);

const position = (place: Place | undefined): string => {
  if (place?.kind !== 'file') return 'nowhere';
  const { line, column } = place.span.source.positionOf(place.span.start);
  return `${line}:${column}`;
};

const faults = (text: string, limits?: ParseLimits): readonly string[] =>
  parse(text, limits).findings.map(({ place, message }) => `${position(place)} ${message}`);

const placeOf = (text: string, path: Path): string => {
  const { root, findings } = parse(text);
  expect(findings).toEqual([]);
  return root ? position(nodeAt(root, path)?.place) : 'no tree';
};

const valueOf = (text: string, path: Path): unknown => {
  const { root, findings } = parse(text);
  expect(findings).toEqual([]);
  const node = root && nodeAt(root, path);
  return node?.kind === 'scalar' ? node.value : node?.kind;
};

describe('parse: places', () => {
  it.each([
    ['a plain scalar', 'a:\n  b: value\n', ['a', 'b'], '2:6'],
    ['a quoted scalar, at its quote', 'a: "value"', ['a'], '1:4'],
    ['a block scalar, at its sign', 'a:\n  b: |-  # note | here\n\n    text\n', ['a', 'b'], '2:6'],
    ['an empty block scalar', 'a: >\nb: 1', ['a'], '1:4'],
    ['an empty value, at its key', 'a:\n  b:\n  c: 1', ['a', 'b'], '2:3'],
    ['an entry of a block list', 'a:\n  - x\n  - y', ['a', 1], '3:5'],
    ['an entry of a flow list', 'a: [x, {b: c}]', ['a', 1, 'b'], '1:12'],
    ['a value behind a tag and an anchor', 'a: &x !!str 5', ['a'], '1:13'],
    ['a value behind an alias, at its anchor', 'a: &x\n  b: 1\nc: *x', ['c', 'b'], '2:6'],
    ['a merged value, at its anchor', 'a: &x { b: 1 }\nc:\n  <<: *x', ['c', 'b'], '1:12'],
    ['a value after an emoji and umlauts, counted in characters', '"😀ü": { ä: 1 }', ['😀ü', 'ä'], '1:12'],
    ['a value in a file with CRLF', 'a:\r\n  b: 1\r\n  c: 2\r\n', ['a', 'c'], '3:6'],
    ['a value in a file with lone CR', 'a:\r  b: 1\r  c: 2\r', ['a', 'c'], '3:6'],
    ['a value behind a byte order mark', '\uFEFFa: 1', ['a'], '1:4'],
    ['a value behind tabs between tokens', 'a:\t1', ['a'], '1:4'],
  ] as const)('finds %s', (_what, text, path, expected) => {
    expect(placeOf(text, path)).toBe(expected);
  });
});

describe('parse: values', () => {
  it.each([
    ['yes', 'yes'],
    ['on', 'on'],
    ['1_000', '1_000'],
    ['12:30', '12:30'],
    ['0o17', 15],
    ['0x10', 16],
    ['1.5e3', 1500],
    ['~', null],
    ['', null],
    ['True', true],
    ['"5"', '5'],
    ["'it''s'", "it's"],
    ['!!str 5', '5'],
    ['! 5', '5'],
    ['!!int "5"', 5],
    ['!!bool true', true],
  ])('reads %s by the rules of YAML 1.2', (text, expected) => {
    expect(valueOf(`a: ${text}`, ['a'])).toEqual(expected);
  });

  it('takes scalars of any type as keys, as their text', () => {
    expect(valueOf('8080: a\ntrue: b', ['8080'])).toBe('a');
    expect(valueOf('8080: a\ntrue: b', ['true'])).toBe('b');
  });

  it('lets a key given in place win over a merged one, before or after it', () => {
    const text = 'x: &x { a: 1, b: 1 }\ny: { a: 2, <<: *x }\nz: { <<: *x, b: 3 }';
    expect([valueOf(text, ['y', 'a']), valueOf(text, ['y', 'b'])]).toEqual([2, 1]);
    expect([valueOf(text, ['z', 'a']), valueOf(text, ['z', 'b'])]).toEqual([1, 3]);
  });

  it('merges a list of maps, earlier ones winning', () => {
    const text = 'x: &x { a: 1 }\ny: &y { a: 2, b: 2 }\nz: { <<: [*x, *y] }';
    expect([valueOf(text, ['z', 'a']), valueOf(text, ['z', 'b'])]).toEqual([1, 2]);
  });

  it('takes a quoted "<<" as a key like any other', () => {
    expect(valueOf('"<<": 1', ['<<'])).toBe(1);
  });

  it('lets an anchored key be used again', () => {
    expect(valueOf('&k a: 1\nb: *k', ['b'])).toBe('a');
  });
});

describe('parse: faults', () => {
  it.each([
    ['an empty file', '', '1:1 expected a map of settings, got an empty file'],
    ['a file of comments', '# nothing\n', '1:1 expected a map of settings, got an empty file'],
    ['an empty document', '---\n', '1:1 expected a map of settings, got an empty file'],
    ['a list at the top', '\n- a', '2:1 expected a map of settings at the top level, got a list'],
    ['a scalar at the top', 'hello', '1:1 expected a map of settings at the top level, got a single value'],
    [
      'several documents',
      'a: 1\n---\nb: 2',
      '3:1 expected one YAML document, got several: another one starts here',
    ],
    ['a tab as indentation', 'a:\n\tb: 1', '2:1 tab characters must not be used in indentation'],
    ['a tab before a brace', 'a:\t{ b: 1 }', '1:6 deficient indentation; the line holds a tab: use spaces'],
    ['a null byte', 'a: x\0', '1:5 null byte is not allowed in input'],
    ['an unclosed quote', 'a: "x', '1:6 unexpected end of the stream within a double quoted scalar'],
    ['an unclosed bracket', 'a: [1,', '1:7 unexpected end of the stream within a flow collection'],
    ['a colon too many', 'a: b: c', '1:5 bad indentation of a mapping entry'],
    ['a duplicate key', 'a: 1\nb:\n  c: 1\n  c: 2', '4:3 duplicate key: it is already given in line 3'],
    ['a duplicate key in other quotes', 'a: 1\n"a": 2', '2:1 duplicate key: it is already given in line 1'],
    ['an alias without anchor', 'a: *b', '1:4 the alias has no anchor before it'],
    ['a cycle', 'a: &a\n  b: *a', '2:6 the alias stands inside the value it names: a cycle'],
    ['a cycle through a list', 'a: &a [1, *a]', '1:11 the alias stands inside the value it names: a cycle'],
    ['a map as key', '{ a: 1 }: b', '1:1 expected a string as key'],
    ['an empty key', ': b', '1:1 expected a string as key'],
    ['an unknown tag', 'a: !wrong 1', '1:4 the tag is unknown, or does not fit the value'],
    ['a tag that does not fit', 'a: !!int x', '1:4 the tag is unknown, or does not fit the value'],
    ['an unknown tag on a list', 'a: !!set { b }', '1:4 the tag is unknown here'],
    ['a tag directive', '%TAG ! tag:x,2000:\n---\na: 1', '1:1 %TAG directives are not supported'],
    ['a merge of something else', 'a: { <<: 5 }', '1:6 expected a map, or a list of maps, to merge with <<'],
    ['a key that could poison objects', '__proto__: { a: 1 }', '1:1 the key __proto__ is not allowed'],
  ])('reports %s where it is', (_what, text, expected) => {
    expect(faults(text)).toEqual([expected]);
  });

  it('reports several faults of one file together', () => {
    expect(faults('a: 1\na: 2\nb: *x\nc: !no 1')).toHaveLength(3);
  });

  it('hints at quotes where a reference stands bare inside braces', () => {
    expect(faults('a: { b: ${N} }')[0]).toContain('inside { } or [ ] a value with ${…} needs quotes');
  });

  it('does not repeat what the text says, which may be a secret', () => {
    expect(faults('a: !<sk-secret^> 1').join()).not.toContain('sk-secret');
  });
});

describe('parse: hostile texts', () => {
  const MIB = 1_048_576;
  const bounded = (text: string): readonly string[] => {
    let found: readonly string[] = [];
    expect(cpuMs(() => (found = faults(text)))).toBeLessThan(5_000);
    return found;
  };

  it('refuses aliases that multiply (billion laughs) without following them', () => {
    const levels = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 12; i++)
      levels.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      );
    expect(bounded(levels.join('\n'))).toEqual([
      expect.stringContaining('more than 100000 values, aliases followed'),
    ]);
  });

  it('refuses merges that multiply', () => {
    const wide = Array.from({ length: 3_000 }, (_, i) => `k${i}: 1`).join(', ');
    const uses = Array.from({ length: 150 }, (_, i) => `m${i}: { <<: *w }`).join('\n');
    expect(bounded(`w: &w { ${wide} }\n${uses}`)[0]).toContain('more than 100000 values');
  });

  it('refuses more aliases than anybody writes', () => {
    expect(bounded(`a: &a 1\nb: [${Array(201).fill('*a').join(', ')}]`)).toEqual([
      expect.stringMatching(/^2:\d+ more than 200 aliases$/),
    ]);
  });

  it.each(['[', '{a: ', '- ', '? ', '[a: ', '&a [', '!!seq ['])('refuses deep nesting by %j', (unit) => {
    const text = unit.repeat(Math.floor(MIB / unit.length));
    expect(bounded(text)[0]).toContain('nesting exceeded maxDepth');
  });

  it.each([
    ['keys', Array.from({ length: 120_000 }, (_, i) => `k${i}:`).join('\n')],
    ['entries', `a: [${'1,'.repeat(500_000)}]`],
    ['equal keys', 'a: 1\n'.repeat(50_000)],
  ])('stays quick with a mebibyte of %s', (_what, text) => {
    expect(bounded(text).length).toBeGreaterThan(0);
  });

  it.each([
    ['blank', ' '.repeat(MIB)],
    ['one comment', '#'.repeat(MIB)],
    ['one scalar', `a: ${'x'.repeat(MIB)}`],
    ['one quote', `a: "${'\\'.repeat(MIB)}`],
    ['anchors', 'a: 1\n&a '.repeat(MIB / 8)],
  ])('stays quick with a mebibyte of %s', (_what, text) => {
    bounded(text);
  });
});
