import fc from 'fast-check';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { rewriteBody, rewriteHeaders, rewriteTarget } from '../../src/algorithms/rewrite-request.ts';
import { rewriteRequest, withoutCredentialParameters } from '../../src/algorithms/rewrite-request.ts';
import type { RequestRewrite } from '../../src/algorithms/rewrite-request.ts';
import { NO_BODY } from '../support/policy-kit.ts';

const NOTHING: RequestRewrite = { path: [], setHeaders: {}, removeHeaders: new Set(), body: {} };

describe('withoutCredentialParameters', () => {
  it.each([
    ['/v1/x?key=SECRET', '/v1/x'],
    ['/v1/x?key=SECRET&alt=sse', '/v1/x?alt=sse'],
    ['/v1/x?alt=sse&key=SECRET', '/v1/x?alt=sse'],
    ['/v1/x?a=1&key=SECRET&b=2', '/v1/x?a=1&b=2'],
    ['/v1/x?a=1&key=S&api_key=S&api-key=S&apikey=S&access_token=S&b=2', '/v1/x?a=1&b=2'],
    ['/v1/x?KEY=SECRET&Api_Key=SECRET', '/v1/x'],
    ['/v1/x?key', '/v1/x'],
    ['/v1/x?key=', '/v1/x'],
    ['/v1/x?a=1?key=2', '/v1/x?a=1?key=2'],
  ])('%s becomes %s', (target, expected) => {
    expect(withoutCredentialParameters(target)).toBe(expected);
  });

  it.each([
    '/v1/x',
    '/v1/x?',
    '/v1/x?a=1&',
    '/v1/x?a=1&&b=2',
    '/v1/x?&a=1',
    '/v1/a&&b?x=1',
    '/v1/a&key=b/c?x=1',
    '/v1/x?monkey=1&keys=2&key2=3&sort_key=4',
    '/v1/x?a=%6B%65%79&q=key=1',
  ])('%s stays byte for byte', (target) => {
    expect(withoutCredentialParameters(target)).toBe(target);
  });

  it('removes every credential and nothing else, wherever it stands', () => {
    const harmless = fc.constantFrom('a=1', 'b=%20', '', 'model=x', 'keys=1', 'q=key');
    const credential = fc.constantFrom('key=S', 'API_KEY=S', 'access_token=S', 'api-key=');
    const parameters = fc.array(
      fc.oneof(
        harmless.map((text) => ({ text, secret: false })),
        credential.map((text) => ({ text, secret: true })),
      ),
      { minLength: 1, maxLength: 8 },
    );
    fc.assert(
      fc.property(parameters, (all) => {
        const kept = all.filter(({ secret }) => !secret).map(({ text }) => text);
        const expected = kept.length === 0 ? '/p' : `/p?${kept.join('&')}`;
        expect(withoutCredentialParameters(`/p?${all.map(({ text }) => text).join('&')}`)).toBe(expected);
      }),
    );
  });
});

describe('rewriteTarget', () => {
  const RULES = [
    { from: '/v1', to: '/a' },
    { from: '/v1/chat', to: '/b' },
    { from: '/', to: '/root/' },
  ];

  it.each([
    ['/v1/models', '/a/models'],
    ['/v1/chat/completions?x=%2F#', '/b/completions?x=%2F#'],
    ['/other', '/root/other'],
    ['/v1', '/a'],
  ])('%s becomes %s: the longest start that fits is replaced', (target, expected) => {
    expect(rewriteTarget(target, RULES)).toBe(expected);
  });

  it('leaves a target that no rule fits', () => {
    expect(rewriteTarget('/x', [{ from: '/v1', to: '/a' }])).toBe('/x');
    expect(rewriteTarget('/x', [])).toBe('/x');
  });

  it('leaves the rules in the order in which they were', () => {
    const rules = [...RULES];
    rewriteTarget('/v1/chat', rules);
    expect(rules).toEqual(RULES);
  });
});

describe('rewriteHeaders', () => {
  it('removes and sets without regard to case, and keeps order and duplicates of the rest', () => {
    const headers = ['X-A', '1', 'x-b', '2', 'X-B', '3', 'Accept', '*/*', 'x-a', '4'];
    const rewrite = { ...NOTHING, setHeaders: { 'X-B': 'new' }, removeHeaders: new Set(['x-a']) };
    expect(rewriteHeaders(headers, rewrite)).toEqual(['Accept', '*/*', 'X-B', 'new']);
    expect(headers).toHaveLength(10);
  });
});

describe('rewriteBody', () => {
  const bodyOf = (text: string) => ({ ...NO_BODY, open: () => Buffer.from(text) });
  const rewritten = (text: string, fields: RequestRewrite['body']): string | undefined => {
    const body = rewriteBody(bodyOf(text), fields);
    return body && Buffer.from(body.open() as Uint8Array).toString('utf8');
  };

  it('sets, adds and removes top-level fields, and keeps the rest', () => {
    expect(
      rewritten('{"model":"a","n":[1,{"model":"a"}],"x":null}', { model: 'b', y: { z: 1 }, x: null }),
    ).toBe('{"model":"b","n":[1,{"model":"a"}],"y":{"z":1}}');
  });

  it('counts bytes, not characters', () => {
    const body = rewriteBody(bodyOf('{"model":"a"}'), { model: 'größer' });
    expect(body?.length).toBe(Buffer.byteLength('{"model":"größer"}'));
  });

  it('reads a part of a larger buffer', () => {
    const bytes = new Uint8Array(Buffer.from('junk{"model":"a"}junk')).subarray(4, 17);
    const body = rewriteBody({ ...NO_BODY, open: () => bytes }, { model: 'b' });
    expect(Buffer.from(body?.open() as Uint8Array).toString('utf8')).toBe('{"model":"b"}');
  });

  it('can be harmed by no name', () => {
    const text = rewritten('{"__proto__":{"polluted":1},"constructor":1,"a":1}', { a: 2 });
    expect(text).toBe('{"__proto__":{"polluted":1},"constructor":1,"a":2}');
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it('is the very same body where there is nothing to do, whatever it is', () => {
    const body = { ...NO_BODY, open: () => Readable.from(['x']) };
    expect(rewriteBody(body, {})).toBe(body);
  });

  it.each(['', '{', '[]', '"text"', '1', 'null', '{"a":1}x'])('gives up on %j', (text) => {
    expect(rewritten(text, { a: 1 })).toBeUndefined();
  });

  it('gives up on a stream, and lets go of it', () => {
    const stream = Readable.from(['{}']);
    expect(rewriteBody({ ...NO_BODY, open: () => stream }, { a: 1 })).toBeUndefined();
    expect(stream.destroyed).toBe(true);
  });
});

describe('rewriteRequest', () => {
  it('changes target and headers only', () => {
    const request = {
      method: 'POST',
      target: '/v1/x',
      headers: ['x-a', '1'],
      host: 'h',
      upgrade: 'websocket',
    };
    const rewrite = { ...NOTHING, path: [{ from: '/v1', to: '/v2' }], removeHeaders: new Set(['x-a']) };
    expect(rewriteRequest(request, rewrite)).toEqual({ ...request, target: '/v2/x', headers: [] });
  });
});
