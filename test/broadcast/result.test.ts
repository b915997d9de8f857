import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isOk, resultJson } from '../../src/broadcast/result.ts';
import type { Part, Result } from '../../src/broadcast/result.ts';

const of = { endpoint: 'http://a.test', state: 'available' } as const;

const partOf = (bytes: string | Uint8Array, type = 'text/plain', more: Partial<Part> = {}): Part => ({
  status: 200,
  headers: ['Content-Type', type, 'X-One', '1', 'x-one', '2', 'set-cookie', 'secret'],
  bytes: Buffer.from(bytes),
  truncated: false,
  ...more,
});

const told = (result: Partial<Result>): Record<string, unknown> =>
  JSON.parse(resultJson({ of, durationMs: 1.26, ...result }, ['content-type', 'x-one'])) as Record<
    string,
    unknown
  >;

describe('a result as JSON', () => {
  it('tells who, how and in what time, and the fields that are asked for', () => {
    expect(told({ part: partOf('hello') })).toEqual({
      endpoint: 'http://a.test',
      status: 200,
      durationMs: 1.3,
      headers: { 'content-type': 'text/plain', 'x-one': '1, 2' },
      truncated: false,
      encoding: 'text',
      body: 'hello',
    });
  });

  it('names the instance where it has one', () => {
    expect(told({ of: { ...of, instance: 'i-7' } })).toMatchObject({
      endpoint: of.endpoint,
      instance: 'i-7',
    });
  });

  it('has JSON as JSON, with every digit, in one line', () => {
    const body = '{ "id": 12345678901234567890,\r\n "__proto__": "\\n" }';
    const text = resultJson({ of, durationMs: 0, part: partOf(body, 'application/json; charset=utf-8') }, []);
    expect(text).toContain('"encoding":"json","body":{ "id": 12345678901234567890,  "__proto__": "\\n" }');
    expect(text).not.toMatch(/[\r\n]/);
  });

  it.each([
    ['application/problem+json', '{"a":1}', 'json'],
    ['application/json', '{"a":', 'text'],
    ['application/jsonp', '{"a":1}', 'text'],
    ['application/json', '"\\ud800"', 'json'],
  ])('%s with %s is %s', (type, body, encoding) => {
    expect(told({ part: partOf(body, type) })).toMatchObject({ encoding });
  });

  it('has the beginning of what was cut off as text, up to a whole character', () => {
    const bytes = Buffer.from('{"a":"ü').subarray(0, 7);
    const part = partOf(bytes, 'application/json', { truncated: true });
    expect(told({ part })).toMatchObject({ encoding: 'text', body: '{"a":"', truncated: true });
  });

  it('has what is no text, or encoded, in base64', () => {
    expect(told({ part: partOf(Uint8Array.of(0xff, 0)) })).toMatchObject({
      encoding: 'base64',
      body: '/wA=',
    });
    const headers = ['content-type', 'text/plain', 'content-encoding', 'GZIP'];
    expect(told({ part: partOf('x', '', { headers }) })).toMatchObject({ encoding: 'base64', body: 'eA==' });
  });

  it('has no body where there is none', () => {
    expect(told({ part: partOf('') })).not.toHaveProperty('body');
    expect(told({ error: { reason: 'connection_refused', detail: 'no' } })).toEqual({
      endpoint: 'http://a.test',
      durationMs: 1.3,
      error: { reason: 'connection_refused', detail: 'no', title: 'The upstream refused the connection.' },
    });
  });

  it('is one line of JSON whatever an endpoint answers', () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.json().map((json) => Buffer.from(json)),
    );
    const types = fc.constantFrom('application/json', 'text/plain', 'a/b+json', '"', '\u0080');
    fc.assert(
      fc.property(bytes, types, fc.boolean(), (body, type, truncated) => {
        const text = resultJson({ of, durationMs: 0, part: partOf(body, type, { truncated }) }, [
          'content-type',
        ]);
        expect(text).not.toMatch(/[\r\n]/);
        const { encoding, body: shown } = JSON.parse(text) as { encoding?: string; body: string };
        if (encoding === 'base64') expect(Buffer.from(shown, 'base64')).toEqual(Buffer.from(body));
      }),
    );
  });
});

describe('a good result', () => {
  it.each([
    [{ part: partOf('') }, true],
    [{ part: partOf('', '', { truncated: true }) }, true],
    [{ part: partOf('', '', { status: 304 }) }, true],
    [{ part: partOf('', '', { status: 400 }) }, false],
    [{ part: partOf(''), error: { reason: 'deadline_exceeded' as const } }, false],
    [{ error: { reason: 'circuit_open' as const } }, false],
  ])('%#: is %j', (result, ok) => {
    expect(isOk({ of, durationMs: 0, ...result })).toBe(ok);
  });
});
