import { expect, test } from 'vitest';
import { respond } from '../support/steps/answers.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { adminWith, IDLE_UPSTREAM } from './fixture.ts';
import type { AdminFixture, Answer } from './fixture.ts';

const purge = (admin: AdminFixture, json: unknown, headers?: Record<string, string>): Promise<Answer> =>
  admin.post('/admin/upstreams/api/cache/purge', { json, ...(headers && { headers }) });

const yamlFor = (origin: string, rest = ''): string => `
${rest}
upstreams:
  api: { route: /api, endpoints: [{ url: "${origin}" }], policies: { cache: {} } }
`;

const cached = respond({ headers: { 'cache-control': 'max-age=60' }, body: 'hello' });

test('an operator sees what is kept, and lets go of a path, of one answer, of all', async () => {
  await using upstream = await scriptedUpstream([cached]);
  await using admin = await adminWith(yamlFor(upstream.origin));
  for (const path of ['/api/a/1', '/api/a/2?x=1', '/api/b']) await admin.call(path);
  const key = /key="([^"]+)"/.exec((await admin.call('/api/b')).header('cache-status') ?? '')?.[1];
  const { json } = await admin.get('/admin/upstreams/api');
  const policies = json['policies'] as { name: string; state: object }[];
  const shown = policies.find(({ name }) => name === 'cache')?.state;
  expect(shown).toMatchObject({ entries: 3, hit: 1, miss: 3, flights: 0 });
  expect((await purge(admin, { pathPrefix: '/a/' })).json).toEqual({ purged: 2 });
  expect((await purge(admin, { key })).json).toEqual({ purged: 1 });
  await admin.call('/api/a/1');
  expect((await purge(admin, { all: true })).json).toEqual({ purged: 1 });
  const metrics = (await admin.get('/metrics')).text;
  expect(metrics).toContain('outrigger_cache_requests_total{upstream="api",result="hit"} 1');
  expect(metrics).toContain('outrigger_cache_bytes{upstream="api"} 0');
  const events = (await admin.get('/admin/events')).json['events'] as { event: string; detail: object }[];
  expect(events.filter(({ event }) => event === 'cache-purged').map(({ detail }) => detail)).toEqual(
    [2, 1, 1].map((entries) => ({ entries })),
  );
});

test.each([[{}], [{ all: false }], [{ pathPrefix: 'a' }], [{ all: true, key: 'x' }], [{ path: '/' }]])(
  'what does not say exactly what to let go of is refused: %j',
  async (body) => {
    await using admin = await adminWith(yamlFor('http://127.0.0.1:9'));
    expect(await purge(admin, body)).toMatchObject({ status: 400, json: { code: 'invalid_request' } });
  },
);

test('it needs the token where there is one', async () => {
  await using admin = await adminWith(yamlFor('http://127.0.0.1:9', 'admin: { token: secret-token }'));
  expect((await purge(admin, { all: true })).status).toBe(401);
  const authorized = { authorization: 'Bearer secret-token' };
  expect((await purge(admin, { all: true }, authorized)).json).toEqual({ purged: 0 });
});

test('an upstream without a cache has nothing to let go of', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await admin.post('/admin/upstreams/models/cache/purge', { json: { all: true } });
  expect(answer).toMatchObject({ status: 409, json: { code: 'no_cache' } });
});
