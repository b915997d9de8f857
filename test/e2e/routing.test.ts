/** Which of three real endpoints answers, when the request has a say in it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ask } from '../admin/fixture.ts';
import { request, type RequestInit } from '../support/raw-client.ts';
import type { RawResponse } from '../support/client/raw-response.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar, type TestSidecar } from '../support/start-sidecar.ts';
import { respond } from '../support/steps/answers.ts';

interface Three extends AsyncDisposable {
  readonly a: ScriptedUpstream;
  readonly b: ScriptedUpstream;
  readonly c: ScriptedUpstream;
  readonly sidecar: TestSidecar;
  send(init?: RequestInit): Promise<RawResponse>;
}

const NAMES = ['a', 'b', 'c'] as const;
const CAN = { a: 'vision, ocr', b: 'vision', c: 'audio' };

/** @param settings of the upstream, as the inside of a YAML flow mapping */
async function three(settings: string): Promise<Three> {
  const [a, b, c] = (await Promise.all(NAMES.map((name) => scriptedUpstream([respond({ body: name })])))) as [
    ScriptedUpstream,
    ScriptedUpstream,
    ScriptedUpstream,
  ];
  const endpoints = [a, b, c].map(
    ({ origin }, i) => `{ url: "${origin}", metadata: { capabilities: "${CAN[NAMES[i]!]}" } }`,
  );
  const sidecar = await startSidecar(
    `upstreams: { api: { route: /api, endpoints: [${endpoints.join(', ')}], ${settings} } }`,
  );
  return {
    ...{ a, b, c, sidecar },
    send: ({ path = '/', ...init } = {}) => request(sidecar.port, { ...init, path: `/api${path}` }),
    [Symbol.asyncDispose]: async () => {
      await sidecar[Symbol.asyncDispose]();
      await Promise.all([a, b, c].map((one) => one[Symbol.asyncDispose]()));
    },
  };
}

const BY_HEADER = 'subset: { rules: [{ from: "header:x-required-capability" }] }';

test('a call that needs something goes to those who have it', async () => {
  await using on = await three(BY_HEADER);
  for (let n = 0; n < 4; n++) {
    const response = await on.send({ headers: { 'X-Required-Capability': 'vision, ocr' } });
    expect(await response.text()).toBe('a');
  }
  const [seen] = on.a.requests;
  expect(seen?.header('x-required-capability')).toBe('vision, ocr');
});

test('a call that nobody can answer is refused, and told what is missing', async () => {
  await using on = await three(BY_HEADER);
  const response = await on.send({ headers: { 'x-required-capability': 'smell' } });
  expect(response.status).toBe(503);
  expect(response.header('x-outrigger-code')).toBe('no_endpoint');
  expect(await response.json()).toMatchObject({ detail: 'nobody has what is needed: capabilities smell' });
});

test('the tool that an MCP call names decides, also where its body comes slowly', async () => {
  await using on = await three(
    'dialect: mcp, subset: { rules: [{ value: audio, when: { tool: "listen*" } }] }',
  );
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'listen_to', arguments: {} } };
  for (let n = 0; n < 3; n++) {
    await on.send({
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify(call),
      chunked: true,
    });
  }
  expect([on.a.requests.length, on.b.requests.length, on.c.requests.length]).toEqual([0, 0, 3]);
});

test('a request that names its endpoint goes there, and the name goes no further', async () => {
  await using on = await three('sendToOne: {}');
  for (let n = 0; n < 3; n++) {
    const response = await on.send({ headers: { 'X-Outrigger-Endpoint': on.b.origin } });
    expect(await response.text()).toBe('b');
    expect(response.header('x-outrigger-endpoint')).toBe(on.b.origin);
  }
  expect(on.b.requests.map((one) => one.header('x-outrigger-endpoint'))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test('an answer tells who gave it, so that the next request can go there', async () => {
  await using on = await three('sendToOne: { header: X-Instance }');
  const first = await on.send();
  const who = first.header('x-outrigger-endpoint') ?? '';
  const second = await on.send({ headers: { 'x-instance': who } });
  expect(await second.text()).toBe(await first.text());
});

test('it also goes there when that endpoint is dead, and to nobody else', async () => {
  await using on = await three('sendToOne: {}');
  const { origin } = on.b;
  await on.b.kill();
  const response = await on.send({ headers: { 'x-outrigger-endpoint': origin } });
  expect([response.status, response.header('x-outrigger-code')]).toEqual([502, 'connection_refused']);
  expect(response.header('x-outrigger-attempts')).toBe('3');
  expect([on.a.requests.length, on.c.requests.length]).toEqual([0, 0]);
});

test('a name that nobody has is answered with 404, one that is taken out with 503', async () => {
  await using on = await three('sendToOne: {}');
  const unknown = await on.send({ headers: { 'x-outrigger-endpoint': 'http://10.0.0.1' } });
  expect([unknown.status, unknown.header('x-outrigger-code')]).toEqual([404, 'unknown_endpoint']);
  expect(await unknown.text()).not.toContain(on.a.origin);
  await ask(on.sidecar.adminPort, {
    method: 'POST',
    path: '/admin/upstreams/api/endpoints',
    json: { endpoint: on.a.origin, state: 'disable' },
  });
  const disabled = await on.send({ headers: { 'x-outrigger-endpoint': on.a.origin } });
  expect([disabled.status, disabled.header('x-outrigger-code')]).toEqual([503, 'no_endpoint']);
});

test('clients do not choose unless they may: the field is one like any other', async () => {
  await using on = await three('broadcast: {}');
  const texts: string[] = [];
  for (let n = 0; n < 3; n++) {
    const response = await on.send({ headers: { 'x-outrigger-endpoint': on.b.origin } });
    expect(response.header('x-outrigger-endpoint')).toBeUndefined();
    texts.push(await response.text());
  }
  expect(texts.sort()).toEqual(['a', 'b', 'c']);
  expect(on.a.requests[0]?.header('x-outrigger-endpoint')).toBe(on.b.origin);
});

test('an endpoint can be named as the registry that it came from names it', async () => {
  await using a = await scriptedUpstream([respond({ body: 'a' })]);
  await using b = await scriptedUpstream([respond({ body: 'b' })]);
  const folder = await mkdtemp(join(tmpdir(), 'outrigger-routing-'));
  const file = join(folder, 'list.json');
  await writeFile(file, JSON.stringify([a, b].map(({ origin }, i) => ({ url: origin, instance: `i-${i}` }))));
  await using sidecar = await startSidecar(
    `upstreams: { api: { route: /api, discovery: { file: "${file}" }, sendToOne: {}, broadcast: {} } }`,
  );
  for (let n = 0; n < 3; n++) {
    const response = await request(sidecar.port, {
      path: '/api/',
      headers: { 'x-outrigger-endpoint': 'i-1' },
    });
    expect([await response.text(), response.header('x-outrigger-endpoint')]).toEqual(['b', 'i-1']);
  }
  const all = await request(sidecar.port, { path: '/api/_all' });
  expect(await all.json()).toMatchObject({
    instances: [
      { endpoint: a.origin, instance: 'i-0', body: 'a' },
      { endpoint: b.origin, instance: 'i-1', body: 'b' },
    ],
  });
  await rm(folder, { recursive: true });
});
