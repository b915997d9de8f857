import { expect, test } from 'vitest';
import { adminWith, IDLE_UPSTREAM } from './fixture.ts';
import type { Answer } from './fixture.ts';

interface Value {
  readonly path: string;
  readonly value: string;
  readonly origin: string;
}

const valuesOf = (answer: Answer): Map<string, Value> =>
  new Map((answer.json['values'] as Value[]).map((value) => [value.path, value]));

test('/admin/config shows every effective value with where it came from', async () => {
  await using admin = await adminWith(`defaults: { replayLimit: 2MiB }\n${IDLE_UPSTREAM}`);
  const answer = await admin.get('/admin/config');
  expect(answer.json).toMatchObject({ generation: 1, hash: admin.sidecar.supervisor.runtime.hash });
  const values = valuesOf(answer);
  expect(values.get('upstreams.models.route')).toMatchObject({
    value: '/models',
    origin: `${admin.file}:5:12`,
  });
  expect(values.get('upstreams.models.replayLimit')).toMatchObject({
    value: '2MiB',
    origin: `defaults ${admin.file}:1:26`,
  });
  expect(values.get('server.listen')).toMatchObject({ value: '127.0.0.1:0', origin: '--set server.listen' });
  expect(values.get('server.drainTimeout')).toMatchObject({ value: '20s', origin: 'default' });
});

test('?format=yaml is the configuration as a file, with the origins as comments', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await admin.get('/admin/config?format=yaml');
  expect(answer.status).toBe(200);
  expect(answer.header('content-type')).toBe('application/yaml; charset=utf-8');
  expect(answer.text).toContain(`route: /models # ${admin.file}:4:12`);
  expect(answer.text).toContain('drainTimeout: 20s # default');
});

test('another format is refused', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await admin.get('/admin/config?format=toml');
  expect(answer.status).toBe(400);
  expect(answer.json['detail']).toContain('json, yaml');
});

test('a reload applies what is new, and says which generation is in force since when', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const before = (await admin.get('/admin/config')).json['hash'];
  await admin.rewrite(
    `${IDLE_UPSTREAM}  tools: { route: /tools, endpoints: [{ url: http://127.0.0.1:9 }] }\n`,
  );
  const answer = await admin.post('/admin/reload');
  expect(answer.status).toBe(200);
  expect(answer.json).toEqual({ applied: true, changed: true, generation: 2, problems: [] });
  expect((await admin.get('/admin/upstreams/tools')).status).toBe(200);
  const config = (await admin.get('/admin/config')).json;
  expect(config['generation']).toBe(2);
  expect(config['hash']).not.toBe(before);
  expect(new Date(config['appliedAt'] as string).toISOString()).toBe(config['appliedAt']);
  const { events } = (await admin.get('/admin/events')).json as { events: unknown[] };
  expect(events.at(-1)).toMatchObject({ event: 'config-applied', detail: { generation: 2, cause: 'admin' } });
});

test('a reload of what is in force already changes nothing', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const answer = await admin.post('/admin/reload');
  expect([answer.status, answer.json]).toEqual([
    200,
    { applied: true, changed: false, generation: 1, problems: [] },
  ]);
});

test('a reload of a broken file is a 422 with every problem, and the old configuration serves on', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  const before = (await admin.get('/admin/config')).text;
  await admin.rewrite('upstreams:\n  models: { rout: /models, endpoints: [] }\nlogging: { level: loud }\n');
  const answer = await admin.post('/admin/reload');
  expect(answer.status).toBe(422);
  expect(answer.header('content-type')).toMatch(/^application\/problem\+json/);
  expect(answer.json).toMatchObject({
    status: 422,
    code: 'configuration_rejected',
    detail: 'the configuration was not put in force; generation 1 serves on',
    applied: false,
    changed: false,
    generation: 1,
  });
  const problems = answer.json['problems'] as {
    path: string;
    file: string;
    line: number;
    severity: string;
  }[];
  expect(problems.map(({ path }) => path)).toContain('logging.level');
  expect(
    problems.every(({ file, line, severity }) => file === admin.file && line > 0 && severity === 'error'),
  ).toBe(true);
  expect((await admin.get('/admin/config')).text).toBe(before);
  expect((await admin.get('/ready')).json['problems']).toMatchObject({ count: problems.length });

  await admin.rewrite(IDLE_UPSTREAM);
  expect((await admin.post('/admin/reload')).json).toMatchObject({ applied: true, changed: false });
  expect((await admin.get('/ready')).json['problems']).toEqual({ count: 0, lines: [] });
});

test('a reload that needs an address in use is a 422', async () => {
  await using other = await adminWith(IDLE_UPSTREAM);
  await using admin = await adminWith(IDLE_UPSTREAM);
  await admin.rewrite(`${IDLE_UPSTREAM}    listen: 127.0.0.1:${other.dataPort}\n`);
  const answer = await admin.post('/admin/reload');
  expect(answer.status).toBe(422);
  expect(JSON.stringify(answer.json['problems'])).toContain('the address is in use');
});

test('a reload may carry an empty JSON object, as some clients insist', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  expect((await admin.post('/admin/reload', { json: {} })).status).toBe(200);
});
