import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeSnapshot, encodeParts, encodeSnapshot } from '../../src/stores/snapshot-format.ts';
import type { PersistentState } from '../../src/core/persistence.ts';

const TAKEN = { instant: 5, wallMs: 7 };
const PARTS = new Map<string, PersistentState>([
  ['b/retry', { budget: [1, 2] }],
  ['a/circuit-breaker', { openings: 1 }],
  ['__proto__', { polluted: true }],
]);
const TEXT = encodeSnapshot(encodeParts(PARTS), TAKEN);

describe('the text of a snapshot', () => {
  it('says what it is, when it was taken, and what each part said', () => {
    expect(decodeSnapshot(TEXT)).toEqual({ taken: TAKEN, parts: PARTS });
    expect(JSON.parse(TEXT)).toMatchObject({ format: 'outrigger-state', version: 1 });
  });

  it('is the same for the same states, in whatever order they come', () => {
    expect(encodeParts(new Map([...PARTS].reverse()))).toBe(encodeParts(PARTS));
  });

  it('is corrupt wherever it is cut', () => {
    for (let end = 0; end < TEXT.length - 1; end++)
      expect(decodeSnapshot(TEXT.slice(0, end)), `${end}`).toBe('corrupt');
  });

  it.each([
    ['null', 'corrupt'],
    ['[]', 'corrupt'],
    ['"text"', 'corrupt'],
    ['{}', 'corrupt'],
    ['{"format":"other","version":1}', 'corrupt'],
    ['{"format":"outrigger-state"}', 'version'],
    ['{"format":"outrigger-state","version":2,"wallMs":1,"instant":1,"parts":{}}', 'version'],
    ['{"format":"outrigger-state","version":1,"wallMs":"1","instant":1,"parts":{}}', 'corrupt'],
    ['{"format":"outrigger-state","version":1,"wallMs":1e999,"instant":1,"parts":{}}', 'corrupt'],
    ['{"format":"outrigger-state","version":1,"wallMs":1,"parts":{}}', 'corrupt'],
    ['{"format":"outrigger-state","version":1,"wallMs":1,"instant":1,"parts":[]}', 'corrupt'],
  ])('%s is %s', (text, why) => {
    expect(decodeSnapshot(text)).toBe(why);
  });

  it('may be anything without making anybody throw', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(['corrupt', 'version']).toContain(decodeSnapshot(text));
      }),
    );
  });
});
