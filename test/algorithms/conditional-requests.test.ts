import { describe, expect, it } from 'vitest';
import { freshenedBy, isNotModified, withConditions } from '../../src/algorithms/conditional-requests.ts';

const DAY = 'Thu, 01 Jan 2026 00:00:00 GMT';
const stored = (headers: readonly string[], status = 200) => ({ status, statusText: 'OK', headers });

describe('conditions of clients', () => {
  it.each([
    [['if-none-match', 'W/"a"'], ['etag', '"a"'], true],
    [['if-none-match', '"b", "a"'], ['etag', 'W/"a"'], true],
    [['if-none-match', '"b"', 'If-None-Match', '"a"'], ['etag', '"a"'], true],
    [['if-none-match', '"a, b"'], ['etag', '"a'], false],
    [['if-none-match', 'a'], ['etag', 'a'], false],
    [['if-none-match', '*'], [], true],
    [['if-none-match', '"a"'], [], false],
    [['if-modified-since', DAY], ['last-modified', DAY], true],
    [['if-modified-since', 'yesterday'], ['last-modified', DAY], false],
    [['if-modified-since', DAY], [], false],
    [[], ['etag', '"a"'], false],
  ])('%j with %j: %s', (request, headers, expected) => {
    expect(isNotModified(request, stored(headers))).toBe(expected);
  });

  it('are about successes only', () => {
    expect(isNotModified(['if-none-match', '*'], stored([], 301))).toBe(false);
  });
});

describe('conditions to the upstream', () => {
  it('stand in the place of the client’s own', () => {
    const request = ['Accept', '*/*', 'If-None-Match', '"client"', 'if-modified-since', DAY];
    expect(withConditions(request, stored(['etag', 'W/"a"']))).toEqual([
      'Accept',
      '*/*',
      'if-none-match',
      'W/"a"',
    ]);
    const both = withConditions([], stored(['etag', '"a"', 'last-modified', DAY]));
    expect(both).toEqual(['if-none-match', '"a"', 'if-modified-since', DAY]);
  });

  it('renew the fields of a stored answer, but for those of its body and of one client', () => {
    const old = stored(['etag', '"a"', 'X-Old', '1', 'cache-control', 'max-age=1', 'content-length', '5']);
    const news = ['Etag', 'W/"a"', 'cache-control', 'max-age=9', 'content-length', '0', 'set-cookie', 'a=b'];
    expect(freshenedBy(old, news)).toEqual(
      stored(['X-Old', '1', 'content-length', '5', 'Etag', 'W/"a"', 'cache-control', 'max-age=9']),
    );
  });

  it('renew nothing where the upstream speaks of another answer', () => {
    expect(freshenedBy(stored(['etag', '"a"']), ['etag', '"b"'])).toBeUndefined();
    expect(freshenedBy(stored(['last-modified', DAY]), ['etag', '"b"'])).toBeUndefined();
    expect(freshenedBy(stored(['etag', '"a"']), [])).toBeDefined();
  });
});
