import { expect, test } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { adminWith } from './fixture.ts';

interface View {
  readonly name: string;
  readonly endpoints: readonly { readonly name: string }[];
  readonly policies: readonly { readonly name: string; readonly state: Record<string, unknown> }[];
}

test('/admin/upstreams shows routes, endpoints with their connections, and what every policy holds', async () => {
  await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
  await using admin = await adminWith(`
upstreams:
  models:
    route: /models
    endpoints: [{ url: "${upstream.origin}/base" }]
    credentials: { header: x-api-key, value: not-to-be-shown }
    policies: { fallback: [{ upstream: spare }] }
  spare:
    listen: 127.0.0.1:0
    endpoints: [{ url: http://127.0.0.1:9 }]
`);
  await admin.call('/models/x');
  const { upstreams } = (await admin.get('/admin/upstreams')).json as unknown as { upstreams: View[] };
  const [models, spare] = upstreams;
  expect(models).toMatchObject({
    name: 'models',
    dialect: 'generic',
    route: '/models',
    endpoints: [{ name: upstream.origin, connected: 1, free: 1, running: 0 }],
  });
  expect(models).not.toHaveProperty('listen');
  expect(spare).toMatchObject({ name: 'spare', listen: '127.0.0.1:0' });
  expect(spare).not.toHaveProperty('route');
  const states = Object.fromEntries(models?.policies.map(({ name, state }) => [name, state]) ?? []);
  expect(states).toMatchObject({
    fallback: { afterMs: null, steps: ['spare'] },
    'circuit-breaker': { state: 'closed', override: 'auto', openings: 0 },
    credentials: { header: 'x-api-key' },
  });
  expect(Object.keys(states)).toEqual(
    admin.sidecar.supervisor.runtime.upstreams
      .get('models')
      ?.snapshots()
      .map(({ name }) => name),
  );
});

test('/admin/upstreams/:name shows one of them in the same way', async () => {
  await using admin = await adminWith(`
upstreams:
  models: { route: /models, endpoints: [{ url: http://127.0.0.1:9 }] }
  tools: { route: /tools, endpoints: [{ url: http://127.0.0.1:9 }] }
`);
  const { upstreams } = (await admin.get('/admin/upstreams')).json as unknown as { upstreams: View[] };
  expect((await admin.get('/admin/upstreams/tools')).json).toEqual(upstreams[1]);
});

test('an unknown upstream is a 404 that names those there are', async () => {
  await using admin = await adminWith(`
upstreams:
  models: { route: /models, endpoints: [{ url: http://127.0.0.1:9 }] }
  tools: { route: /tools, endpoints: [{ url: http://127.0.0.1:9 }] }
`);
  const answer = await admin.get('/admin/upstreams/tolls');
  expect(answer.status).toBe(404);
  expect(answer.header('content-type')).toMatch(/^application\/problem\+json/);
  expect(answer.json).toEqual({
    title: 'Not Found',
    status: 404,
    code: 'no_such_upstream',
    detail: 'there is no upstream "tolls"; there are models, tools',
    known: ['models', 'tools'],
  });
});

test('where there are no upstreams, the list is empty and a name is a 404 that says so', async () => {
  await using admin = await adminWith('logging: { level: error }');
  expect((await admin.get('/admin/upstreams')).json).toEqual({ upstreams: [] });
  expect((await admin.get('/admin/upstreams/models')).json['detail']).toBe(
    'there is no upstream "models"; there are none',
  );
});
