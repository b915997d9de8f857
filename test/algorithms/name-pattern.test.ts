import { describe, expect, it } from 'vitest';
import { namesLike } from '../../src/algorithms/name-pattern.ts';

describe('patterns for names', () => {
  it.each([
    ['search', 'search', true],
    ['search', 'search_all', false],
    ['search*', 'search', true],
    ['search*', 'search_all', true],
    ['search*', 'research', false],
    ['*_get', 'user_get', true],
    ['*_get', 'user_get_all', false],
    ['*', '', true],
    ['a*b*c', 'a-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['a*bc*c', 'abc', false],
    ['aa*aa', 'aaa', false],
    ['a.c', 'abc', false],
  ])('%s and %j: %s', (pattern, name, fits) => {
    expect(namesLike([pattern])(name)).toBe(fits);
  });

  it('one of several is enough, and none fits nothing', () => {
    expect(namesLike(['get_*', 'list'])('list')).toBe(true);
    expect(namesLike([])('list')).toBe(false);
  });

  it('is quick with a name that nearly fits many stars', () => {
    const like = namesLike([`${'a*'.repeat(60)}b`]);
    expect(like('a'.repeat(100_000))).toBe(false);
  });
});
