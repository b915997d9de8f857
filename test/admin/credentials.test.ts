import { expect, test } from 'vitest';
import { keyedUpstream } from '../support/keyed-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { adminWith, IDLE_UPSTREAM } from './fixture.ts';
import type { AdminFixture, Answer } from './fixture.ts';

const reset = (admin: AdminFixture, name: unknown): Promise<Answer> =>
  admin.post('/admin/upstreams/models/credentials', { json: { reset: name } });

const yamlFor = (origin: string): string => `
upstreams:
  models:
    route: /models
    endpoints: [{ url: "${origin}" }]
    credentials: { keys: [{ name: one, value: sk-number-one }, { name: two, value: sk-number-two }] }
`;

test('an operator sees every key by its name, and brings back one or all', async () => {
  const refused = respond({ status: 401 });
  await using api = await keyedUpstream({ 'sk-number-one': refused, 'sk-number-two': refused });
  await using admin = await adminWith(yamlFor(api.origin));
  await admin.call('/models/1');
  const { json, text } = await admin.get('/admin/upstreams/models');
  const policies = json['policies'] as { name: string; state: object }[];
  const shown = policies.find(({ name }) => name === 'credentials')?.state;
  expect(shown).toMatchObject({
    keys: [
      { name: 'one', state: 'out' },
      { name: 'two', state: 'out' },
    ],
  });
  expect(text).not.toContain('sk-number');
  expect((await admin.call('/models/2')).header('x-outrigger-code')).toBe('no_credential');

  expect((await reset(admin, 'one')).json).toMatchObject({ keys: [{ state: 'ready' }, { state: 'out' }] });
  expect((await reset(admin, '*')).json).toMatchObject({ keys: [{ state: 'ready' }, { state: 'ready' }] });
  api.treat.clear();
  expect((await admin.call('/models/3')).status).toBe(200);
  const events = (await admin.get('/admin/events')).json['events'] as { event: string; detail: object }[];
  expect(events.filter(({ event }) => event.startsWith('credential-')).map(({ event }) => event)).toEqual([
    ...['credential-out', 'credential-refused', 'credential-out', 'credential-refused'],
    ...['credential-back', 'credential-back'],
  ]);
});

test('a name that no key has is refused with the names there are', async () => {
  await using admin = await adminWith(yamlFor('http://127.0.0.1:9'));
  const answer = await reset(admin, 'three');
  expect([answer.status, answer.json]).toMatchObject([
    404,
    { code: 'no_such_credential', known: ['one', 'two'] },
  ]);
  expect((await reset(admin, '')).status).toBe(400);
});

test('an upstream without credentials of its own has none to reset', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  expect(await reset(admin, '*')).toMatchObject({ status: 409, json: { code: 'no_credentials' } });
});
