import { expect, test } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { adminWith, ask, IDLE_UPSTREAM } from './fixture.ts';

const ROUTES = [
  'GET /health',
  'GET /livez',
  'GET /ready',
  'GET /readyz',
  'GET /metrics',
  'GET /admin/upstreams',
  'GET /admin/upstreams/:name',
  'POST /admin/upstreams/:name/breaker',
  'POST /admin/upstreams/:name/endpoints',
  'POST /admin/upstreams/:name/cache/purge',
  'POST /admin/upstreams/:name/credentials',
  'GET /admin/config',
  'POST /admin/reload',
  'GET /admin/events',
  'GET /admin/registry',
];

test('an unknown path is a 404 that lists what there is', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await admin.get('/helth?verbose');
  expect(answer.status).toBe(404);
  expect(answer.header('content-type')).toMatch(/^application\/problem\+json/);
  expect(answer.json).toMatchObject({ title: 'Not Found', status: 404, code: 'no_such_route' });
  expect(answer.json['detail']).toBe(`there is no /helth; there are ${ROUTES.join(', ')}`);
});

test.each(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'QUERY'])(
  '%s does not change anything: 405 with Allow: POST',
  async (method) => {
    await using admin = await adminWith(IDLE_UPSTREAM);
    for (const path of [
      '/admin/reload',
      '/admin/upstreams/models/breaker?state=open',
      '/admin/upstreams/models/credentials',
    ]) {
      const answer = await ask(admin.adminPort, { method, path });
      expect([answer.status, answer.header('allow')]).toEqual([405, 'POST']);
      expect(answer.json['code']).toBe('method_not_allowed');
    }
    expect(admin.sidecar.journal.entries().filter(({ event }) => event !== 'config-applied')).toEqual([]);
  },
);

test('a change of what can only be read is a 405 with Allow: GET, HEAD', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  for (const path of ['/health', '/admin/config', '/admin/upstreams/models']) {
    const answer = await admin.post(path, { headers: { 'content-type': 'text/plain' }, body: 'x' });
    expect(answer.status).toBe(405);
    expect(answer.header('allow')?.split(', ').toSorted()).toEqual(['GET', 'HEAD']);
  }
});

test.each([
  ['/health', 200],
  ['/ready', 200],
  ['/metrics', 200],
  ['/admin/upstreams', 200],
  ['/admin/upstreams/none', 404],
  ['/admin/config', 200],
  ['/admin/config?format=yaml', 200],
  ['/admin/events', 200],
  ['/admin/reload', 405],
  ['/none', 404],
  ['/a%zz', 400],
])('%s (%i) is never cached and never read as another type', async (path, status) => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await admin.get(path);
  expect(answer.status).toBe(status);
  expect(answer.header('cache-control')).toBe('no-store');
  expect(answer.header('x-content-type-options')).toBe('nosniff');
  expect(answer.header('access-control-allow-origin')).toBeUndefined();
  if (status >= 400) expect(answer.header('content-type')).toMatch(/^application\/problem\+json/);
});

test.each([
  'application/x-www-form-urlencoded',
  'text/plain',
  'multipart/form-data; boundary=x',
  'application/json-patch+json',
  'application/ json',
  'text/plain; application/json',
])('a body that is %s is not taken', async (contentType) => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await admin.post('/admin/upstreams/models/breaker', {
    headers: { 'content-type': contentType },
    body: '{"state":"open"}',
  });
  expect([answer.status, answer.json['code']]).toEqual([415, 'unsupported_media_type']);
  expect((await admin.get('/ready')).json['upstreams']).toEqual([{ name: 'models', breaker: 'closed' }]);
});

test('a body without a content type is not taken', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  expect((await admin.post('/admin/reload', { body: '{}' })).status).toBe(415);
});

test('a body that is no JSON is a 400', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const headers = { 'content-type': 'application/json' };
  for (const body of ['{"state":', '{"__proto__":{"state":"open"}}']) {
    const answer = await admin.post('/admin/upstreams/models/breaker', { headers, body });
    expect([answer.status, answer.json['status']]).toEqual([400, 400]);
  }
});

test.each([false, true])('a body beyond the limit is a 413 (chunked: %s)', async (chunked) => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ state: 'x'.repeat(5_000) });
  const answer = await admin.post('/admin/upstreams/models/breaker', { headers, body, chunked });
  expect([answer.status, answer.json['code']]).toEqual([413, 'body_too_large']);
});

test('an error that nobody foresaw tells its code and not its message', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const text = admin.sidecar.metrics.text.bind(admin.sidecar.metrics);
  admin.sidecar.metrics.text = () =>
    Promise.reject(Object.assign(new Error('password hunter2'), { code: 'EODD' }));
  const answer = await admin.get('/metrics');
  admin.sidecar.metrics.text = text;
  expect(answer.json).toEqual({
    title: 'Internal Server Error',
    status: 500,
    code: 'internal_error',
    detail: 'unexpected error (EODD)',
  });
});

test('one connection serves one request after the other', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  await using client = await rawClient(admin.adminPort);
  for (const path of ['/health', '/none', '/ready']) {
    const response = await client.request({ path });
    await response.text();
  }
  expect(client.ending).toBeUndefined();
});
