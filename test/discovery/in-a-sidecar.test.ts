/** A whole sidecar whose endpoints are found while it runs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Sidecar } from '../../src/sidecar.ts';
import { ownSidecar } from '../incidents/own-sidecar.ts';
import { rawClient, requestBytes } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';

let folder = '';
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'outrigger-discovery-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const path = (): string => join(folder, 'endpoints.yaml');
const list = (...urls: readonly string[]): void => writeFileSync(path(), JSON.stringify(urls));
const yaml = (more = ''): string =>
  `upstreams: { u: { route: /u, discovery: { file: "${path()}"${more} } } }\nstate: { dir: "${folder}" }`;

async function get(port: number, target = '/u/x'): Promise<{ status: number; body: string }> {
  await using client = await rawClient(port);
  void client.send(requestBytes({ path: target }));
  const response = await client.response();
  return { status: response.status, body: await response.text() };
}

test('calls go to what is found, and no call is lost when that changes', async () => {
  const streaming = controlledStream();
  await using a = await scriptedUpstream(({ target }) =>
    target === '/stream' ? streaming : respond({ body: 'a' }),
  );
  await using b = await scriptedUpstream(() => respond({ body: 'b' }));
  list(a.origin);
  await using on = await startSidecar(yaml());
  expect(await get(on.port)).toEqual({ status: 200, body: 'a' });

  await using client = await rawClient(on.port);
  void client.send(requestBytes({ path: '/u/stream' }));
  await streaming.head();
  await streaming.write('half');
  list(b.origin);
  await on.waitForEvent('discovery-changed');
  expect(await get(on.port)).toEqual({ status: 200, body: 'b' });
  await streaming.write('whole');
  await streaming.end();
  expect(await (await client.response()).text()).toBe('halfwhole');

  writeFileSync(path(), 'half a li: [');
  await on.waitForEvent('discovery-failed');
  expect(await get(on.port)).toEqual({ status: 200, body: 'b' });
  expect(await on.metric('outrigger_discovery_up', { upstream: 'u' })).toBe(0);
  expect(await on.metric('outrigger_discovery_endpoints', { upstream: 'u' })).toBe(1);
});

test('without a list calls are refused, and with the first one they are not', async () => {
  await using a = await scriptedUpstream(() => respond({ body: 'a' }));
  await using on = await startSidecar(yaml(', wait: 0s'));
  expect((await get(on.port)).status).toBe(503);
  list(a.origin);
  await on.waitForEvent('discovery-changed');
  expect(await get(on.port)).toEqual({ status: 200, body: 'a' });
});

test('the list outlives a restart when its source does not', async () => {
  await using a = await scriptedUpstream(() => respond({ body: 'a' }));
  list(a.origin);
  {
    await using on = await startSidecar(yaml());
    await on.sidecar.stop();
  }
  rmSync(path());
  await using again = await startSidecar(yaml());
  expect(await get(again.port)).toEqual({ status: 200, body: 'a' });
});

test('what was learnt of those on the list outlives a restart with them: who is ejected, and which key is to rest', async () => {
  await using a = await scriptedUpstream(() => respond({ status: 429, headers: { 'retry-after': '600' } }));
  await using b = await scriptedUpstream(() => respond({ body: 'b' }));
  await using dead = await scriptedUpstream([]);
  dead.stopListening();
  list(dead.origin, b.origin);
  const learning = (): string =>
    `upstreams:
  u: { route: /u, discovery: { file: "${path()}" } }
  v:
    route: /v
    discovery: { file: "${join(folder, 'others.yaml')}" }
    credentials: { values: [sk-first-secret, sk-second-secret] }
    policies: { retry: false }
state: { dir: "${folder}" }`;
  writeFileSync(join(folder, 'others.yaml'), JSON.stringify([a.origin]));
  const learnt = (sidecar: Sidecar): unknown[] => {
    const policy = (upstream: string, name: string) =>
      sidecar.supervisor.runtime.upstreams.get(upstream)?.policies.get(name)?.snapshot();
    return [policy('u', 'outlier-detection')?.['ejected'], policy('v', 'credentials')?.['keys']];
  };
  const expected = [1, [{ state: 'cooling' }, { state: 'ready' }]];
  {
    await using on = await startSidecar(learning());
    for (let n = 0; n < 3; n++) await get(on.port);
    await get(on.port, '/v/x');
    expect(learnt(on.sidecar)).toMatchObject(expected);
    await on.sidecar.stop();
  }
  await using again = await startSidecar(learning());
  expect(learnt(again.sidecar)).toMatchObject(expected);
});

test('an endpoint that its source says is draining, down or degraded is treated as such', async () => {
  await using a = await scriptedUpstream(() => respond({ body: 'a' }));
  await using b = await scriptedUpstream(() => respond({ body: 'b' }));
  const say = (status: string): void =>
    writeFileSync(path(), JSON.stringify([{ url: a.origin, status }, { url: b.origin }]));
  list(a.origin, b.origin);
  await using on = await startSidecar(yaml());
  for (const [index, status] of ['draining', 'down', 'degraded', 'starting'].entries()) {
    say(status);
    await on.waitForEvent('discovery-changed', index + 1);
    expect([(await get(on.port)).body, (await get(on.port)).body]).toEqual(['b', 'b']);
  }
  expect(on.eventsNamed('endpoint-changed').map(({ to }) => to)).toEqual([
    'draining',
    'unhealthy',
    'degraded',
    'starting',
  ]);
});

test('a reload that changes other things leaves the list alone; one that is refused leaves nothing running', async () => {
  await using a = await scriptedUpstream(() => respond({ body: 'a' }));
  list(a.origin);
  const file = join(folder, 'outrigger.yaml');
  const config = (more: string): void =>
    writeFileSync(file, `upstreams: { u: { route: /u, discovery: { file: "${path()}" }${more} } }`);
  config('');
  const input = { files: [file], env: {}, sets: ['server.listen=127.0.0.1:0', 'server.admin=127.0.0.1:0'] };
  const sidecar = await Sidecar.start({ input, watch: false, logTo: join(folder, 'log') });
  try {
    const { source } = sidecar.supervisor.runtime.upstreams.get('u')!;
    config(', keepAlive: 3s');
    expect((await sidecar.reload('test')).applied).toBe(true);
    expect(sidecar.supervisor.runtime.upstreams.get('u')!.source).toBe(source);
    writeFileSync(
      file,
      `upstreams: { u: { route: /u, discovery: { file: "${path()}.misspelt", wait: 50ms } } }`,
    );
    const refused = await sidecar.reload('test');
    expect(refused.problems[0]).toMatchObject({
      path: 'upstreams.u.discovery',
      line: 1,
      message: expect.stringMatching(/^no endpoints were found: .*misspelt: .*no such file/i) as string,
    });
    config(`, listen: "203.0.113.1:1" }, v: { route: /v, discovery: { file: "${path()}.other", wait: 0s }`);
    expect((await sidecar.reload('test')).applied).toBe(false);
    expect(sidecar.supervisor.parts.has('v/discovery')).toBe(false);
    expect((await get(sidecar.dataPlane.address()!.port)).body).toBe('a');
  } finally {
    await sidecar.close();
  }
});

test('an endpoint that goes and comes back while a reload is on its way has connections that are kept', async () => {
  await using a = await scriptedUpstream(() => respond({ body: 'a' }));
  await using b = await scriptedUpstream(() => respond({ body: 'b' }));
  list(a.origin);
  const file = join(folder, 'outrigger.yaml');
  const config = (more = ''): void =>
    writeFileSync(file, `upstreams: { u: { route: /u, discovery: { file: "${path()}" } }${more} }`);
  config();
  const input = { files: [file], env: {}, sets: ['server.listen=127.0.0.1:0', 'server.admin=127.0.0.1:0'] };
  const sidecar = await Sidecar.start({ input, watch: false, logTo: join(folder, 'log') });
  const answer = async (): Promise<string> => (await get(sidecar.dataPlane.address()!.port)).body;
  try {
    expect(await answer()).toBe('a');
    // Nobody has a list for the other one: the reload waits as long as it may.
    config(`, v: { route: /v, discovery: { file: "${path()}.other", wait: 3s } }`);
    const reload = sidecar.reload('test');
    list(b.origin);
    await expect.poll(answer).toBe('b');
    list(a.origin);
    await expect.poll(answer).toBe('a');
    expect((await reload).applied).toBe(true);
    expect(await answer()).toBe('a');
    const { connections } = sidecar.supervisor.runtime.upstreams.get('u')!.endpoints.members[0]!;
    expect(connections().connected).toBe(1);
  } finally {
    await sidecar.close();
  }
});

test('a configuration that is refused changes nothing of what is known of endpoints', async () => {
  await using a = await scriptedUpstream(() => respond({ body: 'a' }));
  await using b = await scriptedUpstream(() => respond({ body: 'b' }));
  writeFileSync(path(), JSON.stringify([{ url: a.origin, status: 'draining' }, { url: b.origin }]));
  await using on = await ownSidecar(yaml());
  const others = `[{ url: "${a.origin}" }, { url: "http://127.0.0.1:9" }]`;
  const unusable = `upstreams: { u: { route: /u, endpoints: ${others}, listen: "203.0.113.1:1" } }`;
  expect((await on.edit(`${unusable}\nstate: { dir: "${folder}" }`)).applied).toBe(false);
  expect(on.events.of('endpoint-changed')).toEqual([]);
  expect([await get(on.port), await get(on.port)].map(({ body }) => body)).toEqual(['b', 'b']);
});
