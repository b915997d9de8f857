/**
 * Attack: field names and values that mean something to JavaScript objects: `__proto__` kills a process that reads
 * `headersDistinct` (CVE-2026-21710), `constructor` vanishes behind `in`.
 */
import { expect, test } from 'vitest';
import { request } from '../support/raw-client.ts';
import { respond } from '../support/steps/answers.ts';
import { stage } from '../e2e/stage.ts';
import { expectServing, sharedTarget } from './attack.ts';

const target = sharedTarget();
const NAMES = [
  '__proto__',
  '__PROTO__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '__defineGetter__',
];

test('such fields reach the upstream like any other', async () => {
  const on = target();
  const headers = NAMES.map((name, n) => [name, `v${n}`] as const);
  const response = await request(on.port, { path: '/api/x', headers: [...headers, ...headers] });
  expect(response.status).toBe(200);
  const got = on.upstream.requests.at(-1);
  expect(got?.rawHeaders.filter(([name]) => NAMES.includes(name))).toEqual([...headers, ...headers]);
  await expectServing(on);
});

test('such fields reach the client like any other', async () => {
  const headers = NAMES.map((name, n) => [name, `v${n}`] as const);
  await using on = await stage([respond({ headers, body: 'ok' })]);
  const response = await on.send();
  expect(response.rawHeaders.filter(([name]) => NAMES.includes(name))).toEqual(headers);
});

test('naming them in Connection takes nothing else away', async () => {
  const on = target();
  const headers = { connection: '__proto__, constructor, toString', 'x-kept': '1', constructor: '2' };
  expect((await request(on.port, { path: '/api/x', headers })).status).toBe(200);
  const got = on.upstream.requests.at(-1);
  expect(got?.header('x-kept')).toBe('1');
  expect(got?.header('constructor')).toBeUndefined();
  expect(({} as Record<string, unknown>)['v0']).toBeUndefined();
});

test.each(NAMES)('a path named %s finds no route', async (name) => {
  expect((await request(target().port, { path: `/${name}` })).status).toBe(404);
});
