/**
 * Two models named each other as fallback. A request went back and forth between them until the logs had filled the
 * disk. Such a configuration does not load, and no exchange asks an upstream twice through its ladder.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const upstream = (name: string, fallback: string, origin = 'http://127.0.0.1:1'): string =>
  `${name}: { route: /${name}, endpoints: [{ url: "${origin}" }], policies: { retry: false, fallback: [${fallback}] } }`;
const to = (...names: string[]): string => names.map((name) => `{ upstream: ${name} }`).join(', ');

it.each([
  ['itself', [upstream('a', to('a'))], 'a → a'],
  ['each other', [upstream('a', to('b')), upstream('b', to('a'))], 'a → b → a'],
  [
    'each other in a circle',
    [upstream('a', to('b')), upstream('b', to('c')), upstream('c', to('a'))],
    'a → b → c → a',
  ],
])('upstreams that fall back on %s are refused, with the place', async (_, upstreams, cycle) => {
  const lines = `upstreams:\n${upstreams.map((one) => `  ${one}\n`).join('')}`;
  const started = ownSidecar(lines);
  await expect(started).rejects.toThrow(`a cycle: ${cycle}`);
  await expect(started).rejects.toThrow(/outrigger\.yaml:2:\d+/);
});

it('a reload that would close a circle changes nothing', async () => {
  await using origin = await scriptedUpstream([respond({ body: 'ok' })]);
  await using own = await ownSidecar(apiAt(origin.origin));
  const policies = 'policies: { fallback: [{ upstream: api }] }';
  const result = await own.edit(apiAt(origin.origin, policies));
  expect(result).toMatchObject({ applied: false, generation: 1 });
  expect(await (await own.send()).text()).toBe('ok');
});

it('an upstream that two ladders lead to is asked once', async () => {
  await using failing = await scriptedUpstream([respond({ status: 503 })]);
  const { origin } = failing;
  const main = `policies: { retry: false, fallback: [${to('b', 'c', 'd')}] }`;
  const others = [upstream('b', to('c', 'd'), `${origin}/b`), upstream('c', to('d'), `${origin}/c`)];
  const last = `d: { route: /d, endpoints: [{ url: "${origin}/d" }], policies: { retry: false } }`;
  await using own = await ownSidecar(apiAt(`${origin}/api`, main, [...others, last].join(', ')));
  expect((await own.send()).status).toBe(503);
  expect(failing.requests.map(({ target }) => target)).toEqual(['/api/x', '/b/x', '/c/x', '/d/x']);
});
