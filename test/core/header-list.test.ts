import { describe, expect, it } from 'vitest';
import { endToEndHeaders, hasHeader, headerValue, headerValues } from '../../src/core/header-list.ts';
import { withHeader, withoutHeaders } from '../../src/core/header-list.ts';

const HEADERS = ['Set-Cookie', 'a=1', 'X-One', '1', 'set-cookie', 'b=2', 'X-Empty', ''];

describe('a header list', () => {
  it('is read without regard to case', () => {
    expect(headerValue(HEADERS, 'x-one')).toBe('1');
    expect(headerValue(HEADERS, 'set-cookie')).toBe('a=1');
    expect(headerValues(HEADERS, 'set-cookie')).toEqual(['a=1', 'b=2']);
    expect(headerValue(HEADERS, 'x-two')).toBeUndefined();
  });

  it('tells an empty field from none', () => {
    expect(headerValue(HEADERS, 'x-empty')).toBe('');
    expect([hasHeader(HEADERS, 'x-empty'), hasHeader(HEADERS, 'x-none')]).toEqual([true, false]);
  });

  it('does not take a value for a name', () => {
    expect(headerValue(['x-a', 'x-b', 'x-b', 'real'], 'x-b')).toBe('real');
  });

  it('is copied, not changed', () => {
    const before = [...HEADERS];
    expect(withoutHeaders(HEADERS, new Set(['set-cookie']))).toEqual(['X-One', '1', 'X-Empty', '']);
    expect(withHeader(HEADERS, 'X-ONE', '2')).toEqual([
      ...['Set-Cookie', 'a=1', 'set-cookie', 'b=2', 'X-Empty', ''],
      ...['X-ONE', '2'],
    ]);
    expect(HEADERS).toEqual(before);
  });

  it('holds names that would harm an object', () => {
    const odd = ['__proto__', '1', 'constructor', '2'];
    expect(headerValue(odd, '__proto__')).toBe('1');
    expect(endToEndHeaders(odd)).toEqual(odd);
  });
});

describe('endToEndHeaders', () => {
  it('removes hop-by-hop fields in whatever case, and keeps the rest with its order and duplicates', () => {
    const hops = ['Connection', 'Keep-Alive', 'TE', 'Transfer-Encoding', 'Upgrade', 'Expect'];
    const all = [...hops, 'proxy-authenticate', 'PROXY-Authorization', 'Proxy-Connection'];
    const headers = [...all.flatMap((name) => [name, 'x']), ...HEADERS];
    expect(endToEndHeaders(headers)).toEqual(HEADERS);
  });

  it('removes what Connection names, in every Connection field', () => {
    const headers = [
      'connection',
      'close, X-One ,',
      'Connection',
      'x-two',
      'X-ONE',
      '1',
      'x-two',
      '2',
      'x-3',
      '3',
    ];
    expect(endToEndHeaders(headers)).toEqual(['x-3', '3']);
  });

  it.each(['authorization', 'content-length', 'content-type', 'cookie', 'host', 'trailer'])(
    'does not let a peer remove %s by naming it in Connection',
    (name) => {
      expect(endToEndHeaders(['connection', name, name, 'kept'])).toEqual([name, 'kept']);
    },
  );

  it('removes what it is told besides', () => {
    expect(endToEndHeaders(HEADERS, new Set(['x-one']))).not.toContain('X-One');
  });
});
