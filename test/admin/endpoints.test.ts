import { expect, test } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { adminWith } from './fixture.ts';
import type { AdminFixture, Answer } from './fixture.ts';

const set = (admin: AdminFixture, endpoint: string, state: unknown): Promise<Answer> =>
  admin.post('/admin/upstreams/models/endpoints', { json: { endpoint, state } });

const yamlFor = (...origins: readonly string[]): string => `
upstreams:
  models:
    route: /models
    endpoints: [${origins.map((origin) => `{ url: "${origin}" }`).join(', ')}]
`;

test('an endpoint that is drained gets no new calls until it is enabled', async () => {
  await using a = await scriptedUpstream([respond({ body: 'a' })]);
  await using b = await scriptedUpstream([respond({ body: 'b' })]);
  await using admin = await adminWith(yamlFor(a.origin, b.origin));
  expect((await set(admin, a.origin, 'drain')).json).toMatchObject({ name: a.origin, state: 'draining' });
  for (let n = 0; n < 3; n++) await admin.call('/models/1');
  expect([a.requests.length, b.requests.length]).toEqual([0, 3]);

  expect((await set(admin, a.origin, 'enable')).json).toMatchObject({ state: 'available' });
  for (let n = 0; n < 2; n++) await admin.call('/models/1');
  expect([a.requests.length, b.requests.length]).toEqual([1, 4]);
});

test('the operator’s decision outlives a reload that changes weights', async () => {
  await using a = await scriptedUpstream([respond({ body: 'a' })]);
  await using b = await scriptedUpstream([respond({ body: 'b' })]);
  await using admin = await adminWith(yamlFor(a.origin, b.origin));
  await set(admin, a.origin, 'disable');
  await admin.rewrite(yamlFor(a.origin, b.origin).replace(`"${b.origin}"`, `"${b.origin}", weight: 3`));
  expect((await admin.post('/admin/reload')).json).toMatchObject({ applied: true });
  await admin.call('/models/1');
  await admin.call('/models/1');
  expect([a.requests.length, b.requests.length]).toEqual([0, 2]);
  expect((await admin.get('/admin/upstreams/models')).json['endpoints']).toMatchObject([
    { state: 'disabled', total: 0 },
    { state: 'available', total: 2, weight: 3 },
  ]);
});

test('the operator’s decision is remembered while the endpoint is not on the list, also by reloads', async () => {
  await using a = await scriptedUpstream([respond({ body: 'a' })]);
  await using b = await scriptedUpstream([respond({ body: 'b' })]);
  await using admin = await adminWith(yamlFor(a.origin, b.origin));
  await set(admin, a.origin, 'disable');
  for (const origins of [[b.origin], [a.origin, b.origin]]) {
    await admin.rewrite(yamlFor(...origins));
    expect((await admin.post('/admin/reload')).json).toMatchObject({ applied: true });
  }
  expect((await admin.get('/admin/upstreams/models')).json['endpoints']).toMatchObject([
    { name: a.origin, state: 'disabled', total: 0 },
    { name: b.origin, state: 'available' },
  ]);
});

test('with all endpoints taken out calls are refused, and say so', async () => {
  await using a = await scriptedUpstream([respond({ body: 'a' })]);
  await using admin = await adminWith(yamlFor(a.origin));
  await set(admin, a.origin, 'disable');
  const answer = await admin.call('/models/1');
  expect([answer.status, answer.header('x-outrigger-code')]).toEqual([503, 'no_endpoint']);
});

test('the change is in the journal and in the metrics', async () => {
  await using a = await scriptedUpstream([respond({ body: 'a' })]);
  await using admin = await adminWith(yamlFor(a.origin));
  await set(admin, a.origin, 'drain');
  const { text } = await admin.get('/metrics');
  expect(text).toContain(
    `outrigger_endpoint_state{upstream="models",endpoint="${a.origin}",state="draining"} 1`,
  );
  const events = (await admin.get('/admin/events')).json['events'] as { event: string; detail: unknown }[];
  expect(events.find(({ event }) => event === 'endpoint-changed')?.detail).toEqual({
    endpoint: a.origin,
    from: 'available',
    to: 'draining',
  });
});

test('an endpoint that is not there is a 404 that names those that are', async () => {
  await using a = await scriptedUpstream([respond({ body: 'a' })]);
  await using admin = await adminWith(yamlFor(a.origin));
  const answer = await set(admin, 'http://nowhere', 'drain');
  expect(answer.status).toBe(404);
  expect(answer.json).toMatchObject({ code: 'no_such_endpoint', known: [a.origin] });
});

test('a decision on an endpoint that is not on the list is shown by its name, and taken back by enable', async () => {
  await using a = await scriptedUpstream([respond({ body: 'a' })]);
  await using b = await scriptedUpstream([respond({ body: 'b' })]);
  await using admin = await adminWith(yamlFor(a.origin, b.origin));
  const remembered = async (): Promise<unknown> =>
    (await admin.get('/admin/upstreams/models')).json['remembered'];
  expect(await remembered()).toEqual([]);
  await set(admin, a.origin, 'disable');
  expect(await remembered()).toEqual([]);
  await admin.rewrite(yamlFor(b.origin));
  await admin.post('/admin/reload');
  expect(await remembered()).toEqual([
    { name: a.origin, decision: 'disabled', leftMs: expect.any(Number) as number },
  ]);
  expect((await set(admin, a.origin, 'drain')).status).toBe(404);
  expect(await set(admin, a.origin, 'enable')).toMatchObject({ status: 200, json: { name: a.origin } });
  expect((await set(admin, a.origin, 'enable')).status).toBe(404);
  expect(await remembered()).toEqual([]);
  await admin.rewrite(yamlFor(a.origin, b.origin));
  await admin.post('/admin/reload');
  expect((await admin.get('/admin/upstreams/models')).json['endpoints']).toMatchObject([
    { name: a.origin, state: 'available' },
    { name: b.origin },
  ]);
});
