/**
 * A stranger's page in a browser on this machine or network tries to read or change the admin plane: by sending requests
 * across origins (CSRF), and by pointing its own name at our address (DNS rebinding).
 */
import { describe, expect, test } from 'vitest';
import { adminWith, ask, IDLE_UPSTREAM } from './fixture.ts';
import type { AdminFixture, Answer } from './fixture.ts';

const TOKEN = 'a-long-admin-token';
const WITH_TOKEN = `${IDLE_UPSTREAM}\nadmin: { token: ${TOKEN} }\n`;
const BREAKER = '/admin/upstreams/models/breaker';

const isolate = (admin: AdminFixture, headers: Record<string, string>): Promise<Answer> =>
  admin.post(BREAKER, { headers, json: { state: 'open' } });

const breakerState = (admin: AdminFixture): unknown => {
  const { policies } = admin.sidecar.supervisor.runtime.upstreams.get('models') ?? {};
  return policies?.get('circuit-breaker')?.snapshot()['state'];
};

describe('with admin.token', () => {
  test('a change needs the token', async () => {
    await using admin = await adminWith(WITH_TOKEN);
    const answer = await isolate(admin, {});
    expect(answer.status).toBe(401);
    expect(answer.header('www-authenticate')).toBe('Bearer realm="outrigger-admin"');
    expect(answer.json['code']).toBe('token_required');
    expect((await admin.post('/admin/reload')).status).toBe(401);
    expect(breakerState(admin)).toBe('closed');
  });

  test.each([
    ['another token', 'Bearer another-admin-token'],
    ['a prefix of it', `Bearer ${TOKEN.slice(0, -1)}`],
    ['more than it', `Bearer ${TOKEN}x`],
    ['another scheme', `Basic ${TOKEN}`],
    ['no scheme', TOKEN],
    ['nothing after the scheme', 'Bearer '],
  ])('%s is not the token', async (_what, authorization) => {
    await using admin = await adminWith(WITH_TOKEN);
    const answer = await isolate(admin, { authorization });
    expect(answer.status).toBe(401);
    expect(answer.header('www-authenticate')).toContain('error="invalid_token"');
    expect(answer.text).not.toContain(TOKEN);
    expect(breakerState(admin)).toBe('closed');
  });

  test('with the token it is done, however the scheme is spelt', async () => {
    await using admin = await adminWith(WITH_TOKEN);
    expect((await isolate(admin, { authorization: `bearer ${TOKEN}` })).status).toBe(200);
    expect(
      (await admin.post('/admin/reload', { headers: { authorization: `Bearer ${TOKEN}` } })).status,
    ).toBe(200);
    expect(breakerState(admin)).toBe('isolated');
  });

  test('the token is asked for before anything about the request is looked at', async () => {
    await using admin = await adminWith(WITH_TOKEN);
    expect((await admin.post('/admin/upstreams/unknown/breaker', { json: { wrong: true } })).status).toBe(
      401,
    );
  });

  test('reading needs no token', async () => {
    await using admin = await adminWith(WITH_TOKEN);
    for (const path of ['/ready', '/metrics', '/admin/upstreams', '/admin/config', '/admin/events'])
      expect((await admin.get(path)).status).toBe(200);
  });

  test('a token that comes with a reload counts from then on, and so does its end', async () => {
    await using admin = await adminWith(IDLE_UPSTREAM);
    await admin.rewrite(WITH_TOKEN);
    expect((await admin.post('/admin/reload')).status).toBe(200);
    await admin.rewrite(IDLE_UPSTREAM);
    expect((await admin.post('/admin/reload')).status).toBe(401);
    expect(
      (await admin.post('/admin/reload', { headers: { authorization: `Bearer ${TOKEN}` } })).status,
    ).toBe(200);
    expect((await admin.post('/admin/reload')).status).toBe(200);
  });
});

describe('a page of another origin', () => {
  test.each([
    'http://evil.example',
    'null',
    'http://127.0.0.1',
    'http://127.0.0.1:1',
    'http://localhost:9090',
    '',
  ])('cannot change anything: Origin %j', async (origin) => {
    await using admin = await adminWith(IDLE_UPSTREAM);
    const answer = await isolate(admin, { origin });
    expect([answer.status, answer.json['code']]).toEqual([403, 'origin_not_allowed']);
    expect((await admin.post('/admin/reload', { headers: { origin } })).status).toBe(403);
    expect(breakerState(admin)).toBe('closed');
  });

  test('cannot even with the token', async () => {
    await using admin = await adminWith(WITH_TOKEN);
    const answer = await isolate(admin, { origin: 'http://evil.example', authorization: `Bearer ${TOKEN}` });
    expect(answer.status).toBe(403);
  });

  test('gets no permission to ask: no CORS', async () => {
    await using admin = await adminWith(IDLE_UPSTREAM);
    const answer = await ask(admin.adminPort, {
      method: 'OPTIONS',
      path: BREAKER,
      headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
    });
    expect(answer.status).toBe(405);
    expect(answer.header('access-control-allow-origin')).toBeUndefined();
    expect(answer.header('access-control-allow-methods')).toBeUndefined();
  });
});

test.each(['127.0.0.1', 'localhost', '[::1]'])(
  "a page of the plane's own, reached at %s, may change things",
  async (name) => {
    await using admin = await adminWith(IDLE_UPSTREAM);
    const host = `${name}:${admin.adminPort}`;
    expect((await isolate(admin, { host, origin: `http://${host}` })).status).toBe(200);
  },
);

describe('a name that was pointed at loopback', () => {
  const NAMES = [
    'evil.example',
    'evil.example:9090',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '10.0.0.7',
    '::1',
    '@',
    '',
  ];

  test.each(NAMES)('reads nothing under /admin: Host %j', async (host) => {
    await using admin = await adminWith(IDLE_UPSTREAM);
    for (const path of ['/admin/upstreams', '/admin/upstreams/models', '/admin/config', '/admin/events']) {
      const answer = await admin.get(path, { host });
      expect([answer.status, answer.json['code']]).toEqual([403, 'host_not_allowed']);
    }
  });

  test('changes nothing, although its Origin and its Host agree', async () => {
    await using admin = await adminWith(IDLE_UPSTREAM);
    const host = `evil.example:${admin.adminPort}`;
    expect((await isolate(admin, { host, origin: `http://${host}` })).json['code']).toBe('host_not_allowed');
    expect(breakerState(admin)).toBe('closed');
  });

  test('reads nothing where a token is set either, for reading needs none', async () => {
    await using admin = await adminWith(WITH_TOKEN);
    expect((await admin.get('/admin/config', { host: 'evil.example' })).status).toBe(403);
  });

  test('is no reason to refuse a request that carries the token', async () => {
    await using admin = await adminWith(WITH_TOKEN);
    const headers = { host: 'admin.example', authorization: `Bearer ${TOKEN}` };
    expect((await admin.get('/admin/config', headers)).status).toBe(200);
    expect((await isolate(admin, headers)).status).toBe(200);
  });

  test('does not keep probes and scrapers out', async () => {
    await using admin = await adminWith(IDLE_UPSTREAM);
    for (const path of ['/health', '/livez', '/ready', '/readyz', '/metrics'])
      expect((await admin.get(path, { host: 'sidecar.pod' })).status).toBe(200);
  });
});

test.each([
  'localhost',
  'LOCALHOST:1',
  'localhost.',
  'agent.localhost:9090',
  '127.0.0.1',
  '127.9.9.9:80',
  '[::1]:9090',
])('the loopback name %s may read', async (host) => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  expect((await admin.get('/admin/upstreams', { host })).status).toBe(200);
});

/** The guards only know the bound address; binding to all of them is the one way to have another than loopback anywhere. */
describe('on an address that others can reach', () => {
  const everywhere = (yaml: string): Promise<AdminFixture> => adminWith(yaml, { admin: '0.0.0.0:0' });

  test('any name may read, for its own names are unknown', async () => {
    await using admin = await everywhere(IDLE_UPSTREAM);
    expect((await admin.get('/admin/upstreams', { host: 'sidecar.agents.svc:9090' })).status).toBe(200);
  });

  test('a page that was reached by name changes nothing without a token', async () => {
    await using admin = await everywhere(IDLE_UPSTREAM);
    const answer = await isolate(admin, { host: 'evil.example', origin: 'http://evil.example' });
    expect([answer.status, answer.json['code']]).toEqual([403, 'origin_not_allowed']);
    expect(answer.json['detail']).toContain('set admin.token');
  });

  test('a page that was reached by address may, and so may one by name with the token', async () => {
    await using open = await everywhere(IDLE_UPSTREAM);
    const host = '10.1.2.3:9090';
    expect((await isolate(open, { host, origin: `http://${host}` })).status).toBe(200);
    await using guarded = await everywhere(WITH_TOKEN);
    const named = { host: 'sidecar.svc', origin: 'http://sidecar.svc', authorization: `Bearer ${TOKEN}` };
    expect((await isolate(guarded, named)).status).toBe(200);
  });
});
