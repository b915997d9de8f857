/**
 * Attack: a path that leaves the prefix it is routed by, or the base path it is put behind, once another server has
 * normalised it (GHSA-2q7r-29rg-6m5h, CVE-2021-21321, GHSA-v574-6498-x57v).
 */
import { expect, test } from 'vitest';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { startSidecar } from '../support/start-sidecar.ts';

const ESCAPES = [
  '/../admin',
  '/a/../../admin',
  '/%2e%2e/admin',
  '/%2E%2E%2Fadmin',
  '/..%2Fadmin',
  '/..\\admin',
  '/..%5Cadmin',
  '/.%2e/admin',
  '/..;x=1/admin',
  '/a/%2e./../admin',
  '/..#/admin',
];

test('no spelling of dot segments leaves the base path', async () => {
  await using upstream = await scriptedUpstream([respond()]);
  await using sidecar = await startSidecar(
    `upstreams: { api: { route: /api, endpoints: [{ url: "${upstream.origin}/tenant/7" }] } }`,
  );
  for (const path of ESCAPES) {
    expect((await request(sidecar.port, { path: `/api${path}` })).status, path).toBe(400);
  }
  expect(upstream.requests).toEqual([]);
});

test('a prefix is never matched by what it would be after normalisation', async () => {
  await using open = await scriptedUpstream([respond({ body: 'open' })]);
  await using secret = await scriptedUpstream([respond({ body: 'secret' })]);
  await using sidecar = await startSidecar(`upstreams:
  open: { route: /open, endpoints: [{ url: "${open.origin}" }] }
  secret: { route: /open/secret, endpoints: [{ url: "${secret.origin}" }] }`);
  for (const path of [
    '/open/x/../secret',
    '/open/./secret',
    '/open//secret',
    '/open/%73ecret',
    '/open/secret%2f',
    '/open/SECRET',
  ]) {
    expect(await (await request(sidecar.port, { path })).text(), path).toBe('open');
  }
  expect(secret.requests).toEqual([]);
});

test('a target that names another host stays with the upstream of its path', async () => {
  await using upstream = await scriptedUpstream([respond()]);
  await using other = await scriptedUpstream([respond()]);
  await using sidecar = await startSidecar(
    `upstreams: { api: { route: /api, endpoints: [{ url: "${upstream.origin}/base" }] } }`,
  );
  const targets = [
    `//${other.origin.slice(7)}/x`,
    `/@127.0.0.1:${other.port}/x`,
    `/http://127.0.0.1:${other.port}/x`,
    `:${other.port}/x`,
    '@evil/x',
  ];
  const statuses: number[] = [];
  for (const target of targets)
    statuses.push((await request(sidecar.port, { path: `/api${target}` })).status);
  expect(statuses).toEqual([200, 200, 200, 404, 404]);
  expect(other.requests).toEqual([]);
  expect(upstream.requests.map(({ target }) => target)).toEqual(
    targets.slice(0, 3).map((target) => `/base${target}`),
  );
});
