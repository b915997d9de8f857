import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { textAt, valuesAt } from '../../src/algorithms/json-pointer.ts';

const DOCUMENT = {
  error: {
    code: 'slow_down',
    details: [{ delay: '3s' }, { delay: '5s' }],
    'a/b': 1,
    'm~n': 2,
    '*': 3,
    '': 4,
  },
  choices: [{ error: null }, { error: { code: 500 } }],
};

describe('valuesAt', () => {
  it.each<[string, unknown[]]>([
    ['', [DOCUMENT]],
    ['/error/code', ['slow_down']],
    ['/error/details/1/delay', ['5s']],
    ['/error/details/*/delay', ['3s', '5s']],
    ['/choices/*/error', [null, { code: 500 }]],
    ['/choices/*/error/code', [500]],
    ['/error/a~1b', [1]],
    ['/error/m~0n', [2]],
    ['/error/', [4]],
    ['/error/missing', []],
    ['/error/code/deeper', []],
    ['/error/details/2', []],
    ['/error/details/length', []],
    ['/constructor', []],
    ['/error/__proto__', []],
    ['/*/*/error/code', [500]],
  ])('%s', (pointer, expected) => {
    expect(valuesAt(DOCUMENT, pointer)).toEqual(expected);
  });

  it.each([undefined, null, 'text', 7, true])('%j has no members', (json) => {
    expect(valuesAt(json, '/a')).toEqual([]);
    expect(valuesAt(json, '/*')).toEqual([]);
  });

  it('never throws, whatever the document and the pointer', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), (json, text) => {
        expect(Array.isArray(valuesAt(json, `/${text}`))).toBe(true);
      }),
    );
  });
});

describe('textAt', () => {
  it('is the first value, where that is a string', () => {
    expect(textAt(DOCUMENT, '/error/code')).toBe('slow_down');
    expect(textAt(DOCUMENT, '/error/details/*/delay')).toBe('3s');
    expect(textAt(DOCUMENT, '/choices/1/error/code')).toBeUndefined();
    expect(textAt(DOCUMENT, '/nowhere')).toBeUndefined();
  });
});
