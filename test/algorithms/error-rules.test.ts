import { describe, expect, it } from 'vitest';
import { ruleFinder } from '../../src/algorithms/error-rules.ts';
import type { ErrorRule } from '../../src/core/dialect.ts';

const answer = (status: number | undefined, json?: unknown, headers: readonly string[] = []) => ({
  status,
  headers,
  json,
});

const fits = (rule: Omit<ErrorRule, 'as'>, ...given: Parameters<typeof answer>): boolean =>
  ruleFinder([{ ...rule, as: 'quota' }])(answer(...given)) !== undefined;

describe('ruleFinder', () => {
  it('finds the first rule that fits, in the order of the table', () => {
    const rules: ErrorRule[] = [
      { status: [500], body: { '/error/code': '^a$' }, as: 'quota' },
      { status: ['5xx'], as: 'overloaded' },
      { status: [500], as: 'auth' },
    ];
    const find = ruleFinder(rules);
    expect(find(answer(500, { error: { code: 'a' } }))).toBe(rules[0]);
    expect(find(answer(500, { error: { code: 'b' } }))).toBe(rules[1]);
    expect(find(answer(404))).toBeUndefined();
  });

  it('knows statuses, classes of them and ranges', () => {
    for (const status of [429, '4xx', '400-499'])
      expect([fits({ status: [status] }, 429), fits({ status: [status] }, 500)]).toEqual([true, false]);
  });

  it('wants every part of a rule to fit', () => {
    const rule = { status: [429], body: { '/a': 'x', '/b': 'y' }, headers: { 'X-H': 'z' } };
    expect(fits(rule, 429, { a: 'x', b: 'y' }, ['x-h', 'z'])).toBe(true);
    expect(fits(rule, 429, { a: 'x', b: 'n' }, ['x-h', 'z'])).toBe(false);
    expect(fits(rule, 429, { a: 'x', b: 'y' }, [])).toBe(false);
    expect(fits(rule, 500, { a: 'x', b: 'y' }, ['x-h', 'z'])).toBe(false);
  });

  it('reads values of a body as texts, in any case, and never objects', () => {
    expect(fits({ body: { '/code': '^429$' } }, 400, { code: 429 })).toBe(true);
    expect(fits({ body: { '/code': '^true$' } }, 400, { code: true })).toBe(true);
    expect(fits({ body: { '/code': '^null$' } }, 400, { code: null })).toBe(true);
    expect(fits({ body: { '/code': 'SLOW' } }, 400, { code: 'too slow' })).toBe(true);
    expect(fits({ body: { '/code': 'object' } }, 400, { code: {} })).toBe(false);
    expect(fits({ body: { '/list/*/code': '^b$' } }, 400, { list: [{ code: 'a' }, { code: 'b' }] })).toBe(
      true,
    );
    expect(fits({ body: { '/code': '' } }, 400, undefined)).toBe(false);
  });

  it('knows headers that must be there, and headers that must not', () => {
    expect(fits({ headers: { 'retry-after': '' } }, 402, {}, ['Retry-After', '5'])).toBe(true);
    expect(fits({ headers: { 'retry-after': '' } }, 402, {})).toBe(false);
    expect(fits({ without: ['Retry-After'] }, 429, {}, ['retry-after', '5'])).toBe(false);
    expect(fits({ without: ['Retry-After'] }, 429, {})).toBe(true);
  });

  it('an error inside an answer has no status: rules for a body fit all the same, rules for a status alone do not', () => {
    expect(fits({ status: [429], body: { '/code': 'a' } }, undefined, { code: 'a' })).toBe(true);
    expect(fits({ status: [429], body: { '/code': 'a' } }, undefined, { code: 'b' })).toBe(false);
    expect(fits({ status: [429] }, undefined, { code: 'a' })).toBe(false);
  });
});
