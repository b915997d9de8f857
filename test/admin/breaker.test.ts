import { expect, test } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { adminWith, IDLE_UPSTREAM } from './fixture.ts';
import type { AdminFixture, Answer } from './fixture.ts';

const PATH = '/admin/upstreams/models/breaker';

const set = (admin: AdminFixture, state: unknown): Promise<Answer> => admin.post(PATH, { json: { state } });

const yamlFor = (origin: string, breaker = '{ consecutiveFailures: 2, openFor: 5m }'): string => `
upstreams:
  models:
    route: /models
    endpoints: [{ url: "${origin}" }]
    policies: { retry: false, circuitBreaker: ${breaker} }
`;

test('open keeps every call from the upstream until auto gives it back to the rules', async () => {
  await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
  await using admin = await adminWith(yamlFor(upstream.origin));
  expect((await admin.call('/models/1')).status).toBe(200);

  const opened = await set(admin, 'open');
  expect(opened.status).toBe(200);
  expect(opened.json).toMatchObject({ state: 'isolated', override: 'open' });
  const refused = await admin.call('/models/2');
  expect(refused.status).toBe(503);
  expect(refused.header('x-outrigger-code')).toBe('circuit_open');
  expect(upstream.requests).toHaveLength(1);

  expect((await set(admin, 'auto')).json).toMatchObject({ state: 'closed', override: 'auto' });
  expect((await admin.call('/models/3')).status).toBe(200);
  expect(upstream.requests).toHaveLength(2);
});

test('close lets calls through although the rules would refuse them', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 500 })]);
  await using admin = await adminWith(yamlFor(upstream.origin));
  await admin.call('/models/1');
  await admin.call('/models/2');
  expect((await admin.call('/models/3')).header('x-outrigger-code')).toBe('circuit_open');
  expect(upstream.requests).toHaveLength(2);

  expect((await set(admin, 'close')).json).toMatchObject({ state: 'closed', override: 'closed' });
  for (let n = 4; n <= 8; n++) expect((await admin.call(`/models/${n}`)).status).toBe(500);
  expect(upstream.requests).toHaveLength(7);
});

test('an override outlives a reload, even one that changes the breaker', async () => {
  await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
  await using admin = await adminWith(yamlFor(upstream.origin));
  await set(admin, 'open');
  await admin.rewrite(yamlFor(upstream.origin, '{ consecutiveFailures: 9 }'));
  expect((await admin.post('/admin/reload')).json).toMatchObject({ applied: true, changed: true });
  expect((await admin.call('/models/1')).status).toBe(503);
  expect(upstream.requests).toHaveLength(0);
});

test('the change is in the journal and in the metrics', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  await set(admin, 'open');
  const { events } = (await admin.get('/admin/events')).json as unknown as { events: { event: string }[] };
  expect(events.at(-1)).toMatchObject({
    event: 'breaker-changed',
    upstream: 'models',
    detail: { from: 'closed', to: 'isolated' },
  });
  expect((await admin.get('/metrics')).text).toContain(
    'outrigger_breaker_state{upstream="models",state="isolated"} 1',
  );
});

test('an unknown upstream is a 404 with the known names', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await admin.post('/admin/upstreams/other/breaker', { json: { state: 'open' } });
  expect([answer.status, answer.json['known']]).toEqual([404, ['models']]);
});

test('an upstream whose breaker is switched off is a 409 that says where', async () => {
  await using admin = await adminWith(`${IDLE_UPSTREAM}    policies: { circuitBreaker: false }\n`);
  const answer = await set(admin, 'open');
  expect(answer.status).toBe(409);
  expect(answer.json).toMatchObject({
    code: 'no_breaker',
    detail: 'upstream models has no circuit breaker: upstreams.models.policies.circuitBreaker is false',
  });
});

test.each([
  [
    'an unknown state',
    { state: 'closed' },
    'body/state must be equal to one of the allowed values: open, close, auto',
  ],
  ['a list for a state', { state: ['open'] }, 'body/state must be string'],
  ['no state', {}, "body must have required property 'state'"],
  ['a member too many', { state: 'open', for: '5m' }, 'body must NOT have additional properties'],
])('%s is refused and changes nothing', async (_what, json, detail) => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await admin.post(PATH, { json });
  expect(answer.status).toBe(400);
  expect(answer.json).toMatchObject({ code: 'invalid_request', detail });
  expect((await admin.get('/ready')).json['upstreams']).toEqual([{ name: 'models', breaker: 'closed' }]);
});

test('a change without a body is refused', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  expect((await admin.post(PATH)).json).toMatchObject({ status: 400, code: 'invalid_request' });
});
