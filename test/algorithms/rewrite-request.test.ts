import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rewriteBody, rewriteHeaders, rewriteTarget } from '../../src/algorithms/rewrite-request.ts';
import { rewriteRequest, withoutCredentialParameters } from '../../src/algorithms/rewrite-request.ts';
import type { RequestRewrite } from '../../src/algorithms/rewrite-request.ts';
import { NO_BODY, bytesBody } from '../support/policy-kit.ts';

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
  const rewritten = async (text: string, fields: RequestRewrite['body']): Promise<string | undefined> => {
    const body = await rewriteBody(bytesBody(Buffer.from(text)), fields);
    return body && Buffer.from(body.open() as Uint8Array).toString('utf8');
  };

  it('sets, adds and removes top-level fields, and keeps the rest', async () => {
    const fields = { model: 'b', y: { z: 1 }, x: null };
    expect(await rewritten('{"model":"a","n":[1,{"model":"a"}],"x":null}', fields)).toBe(
      '{"model":"b","n":[1,{"model":"a"}],"y":{"z":1}}',
    );
  });

  it('keeps every digit of numbers that nobody asked to change', async () => {
    const numbers = '"seed":9007199254740993,"t":1.0,"e":[1E400,-0,0.10]';
    expect(await rewritten(`{"model":"a",${numbers}}`, { model: 'b' })).toBe(`{"model":"b",${numbers}}`);
  });

  it('counts bytes, not characters', async () => {
    const body = await rewriteBody(bytesBody(Buffer.from('{"model":"a"}')), { model: 'größer' });
    expect(body?.length).toBe(Buffer.byteLength('{"model":"größer"}'));
    expect(await body?.whole()).toBe(body?.open());
  });

  it('reads a part of a larger buffer', async () => {
    const bytes = new Uint8Array(Buffer.from('junk{"model":"a"}junk')).subarray(4, 17);
    const body = await rewriteBody(bytesBody(bytes), { model: 'b' });
    expect(Buffer.from(body?.open() as Uint8Array).toString('utf8')).toBe('{"model":"b"}');
  });

  it('can be harmed by no name', async () => {
    const text = await rewritten('{"__proto__":{"polluted":1},"constructor":1,"a":1}', { a: 2 });
    expect(text).toBe('{"__proto__":{"polluted":1},"constructor":1,"a":2}');
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it('is the very same body where there is nothing to do, whatever it is', async () => {
    const body = { ...NO_BODY, whole: () => Promise.resolve(undefined) };
    expect(await rewriteBody(body, {})).toBe(body);
    expect(await rewriteBody(NO_BODY, { a: 1 })).toBe(NO_BODY);
  });

  it.each(['{', '[]', '"text"', '1', 'null', '{"a":1}x'])('gives up on %j', async (text) => {
    expect(await rewritten(text, { a: 1 })).toBeUndefined();
  });

  it('gives up on a body that cannot be kept', async () => {
    const body = { ...NO_BODY, whole: () => Promise.resolve(undefined) };
    expect(await rewriteBody(body, { a: 1 })).toBeUndefined();
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
