/** One request to several real endpoints, of which some are slow, dead, silent or without end. */
import { expect, test } from 'vitest';
import { ask } from '../admin/fixture.ts';
import { rawClient, request, type RequestInit } from '../support/raw-client.ts';
import type { RawResponse } from '../support/client/raw-response.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar, type TestSidecar } from '../support/start-sidecar.ts';
import { flood, respond, respondJson, respondWith } from '../support/steps/answers.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { stall } from '../support/steps/silence.ts';
import type { Script } from '../support/upstream/step.ts';

interface Cast extends AsyncDisposable {
  readonly upstreams: readonly ScriptedUpstream[];
  readonly sidecar: TestSidecar;
  send(init?: RequestInit): Promise<RawResponse>;
}

interface Told {
  readonly instances: readonly Record<string, unknown>[];
  readonly leftOut: readonly Record<string, unknown>[];
  readonly summary: Record<string, unknown>;
}

/** @param settings of the upstream, as the inside of a YAML flow mapping */
async function cast(scripts: readonly Script[], settings = 'broadcast: {}', rest = ''): Promise<Cast> {
  const upstreams = await Promise.all(scripts.map((script) => scriptedUpstream(script)));
  const endpoints = upstreams.map(({ origin }) => `{ url: "${origin}" }`).join(', ');
  const sidecar = await startSidecar(
    `${rest}\nupstreams: { api: { route: /api, endpoints: [${endpoints}], ${settings} } }`,
  );
  return {
    upstreams,
    sidecar,
    send: ({ path = '/_all/', ...init } = {}) => request(sidecar.port, { ...init, path: `/api${path}` }),
    [Symbol.asyncDispose]: async () => {
      await sidecar[Symbol.asyncDispose]();
      await Promise.all(upstreams.map((one) => one[Symbol.asyncDispose]()));
    },
  };
}

const NO_RETRY = 'policies: { retry: false }';

const named = (name: string): Script => [respondJson({ name })];

const linesOf = (text: string): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('everybody gets what follows /_all, and all answers come as one', async () => {
  await using on = await cast([named('a'), named('b'), named('c')]);
  const response = await on.send({ path: '/_all/status?deep=1' });
  expect([response.status, response.header('content-type')]).toEqual([200, 'application/json']);
  expect(response.header('x-outrigger-source')).toBe('broadcast');
  expect(response.header('x-outrigger-attempts')).toBe('3');
  const told = (await response.json()) as Told;
  expect(told.instances).toMatchObject(
    ['a', 'b', 'c'].map((name, i) => ({
      endpoint: on.upstreams[i]?.origin,
      status: 200,
      encoding: 'json',
      body: { name },
      truncated: false,
    })),
  );
  expect(told.summary).toMatchObject({ total: 3, ok: 3, failed: 0, leftOut: 0 });
  expect(on.upstreams.map(({ requests }) => requests.map(({ target }) => target))).toEqual(
    Array.from({ length: 3 }, () => ['/status?deep=1']),
  );
  await on.sidecar.waitForEvent('exchange-ended');
  expect(await on.sidecar.metric('outrigger_broadcasts_total', { upstream: 'api', result: 'ok' })).toBe(1);
  expect(await on.sidecar.metric('outrigger_broadcast_calls_total', { result: 'ok' })).toBe(3);
  expect(await on.sidecar.metric('outrigger_requests_total', { upstream: 'api' })).toBe(1);
  expect(on.sidecar.eventsNamed('attempt-ended')).toHaveLength(3);
});

test('one that is dead and one that fails are told beside the one that is well', async () => {
  await using on = await cast(
    [named('a'), [respond({ status: 500, body: 'oops' })], []],
    `broadcast: {}, ${NO_RETRY}`,
  );
  const dead = on.upstreams[2];
  await dead?.kill();
  const response = await on.send({ path: '/_all' });
  expect(response.status).toBe(207);
  const { instances, summary } = (await response.json()) as Told;
  expect(instances).toMatchObject([
    { status: 200, body: { name: 'a' } },
    { status: 500, body: 'oops' },
    { error: { reason: 'connection_refused' } },
  ]);
  expect(summary).toMatchObject({ total: 3, ok: 1, failed: 2 });
  expect(on.upstreams[0]?.requests[0]?.target).toBe('/');
});

test('each call has tries of its own, at its own endpoint', async () => {
  await using on = await cast(
    [[respond({ status: 503 }), respondJson({ name: 'a' })], named('b')],
    'broadcast: {}, policies: { retry: { maxRetries: 1, backoff: { initial: 1ms } }, fallback: [{ static: { body: "sorry" } }], cache: {} }',
  );
  const response = await on.send();
  expect(response.status).toBe(200);
  expect(((await response.json()) as Told).instances).toMatchObject([
    { body: { name: 'a' } },
    { body: { name: 'b' } },
  ]);
  expect(on.upstreams.map(({ requests }) => requests.length)).toEqual([2, 1]);
});

test('no more calls are under way at a time than are allowed', async () => {
  const gate = holdResponse(respondJson({}));
  await using on = await cast(
    Array.from({ length: 5 }, () => [gate]),
    'broadcast: { maxConcurrent: 2 }',
  );
  const answer = on.send();
  for (const left of [2, 2, 2, 2, 1]) {
    await gate.waitForHeld(left);
    gate.releaseOne();
  }
  expect((await answer).status).toBe(200);
});

test('the deadline ends it: who is silent until then is told to be so', async () => {
  await using on = await cast([[stall()], named('b')], 'broadcast: { deadline: 150ms }');
  const response = await on.send();
  expect(response.status).toBe(207);
  const { instances } = (await response.json()) as Told;
  expect(instances).toMatchObject([{ error: { reason: 'deadline_exceeded' } }, { body: { name: 'b' } }]);
  expect((await on.upstreams[0]?.waitForAbort())?.request.number).toBe(1);
});

test('an answer without end is cut off, and its endpoint is left', async () => {
  await using on = await cast([[flood(64 * 1024 * 1024)], named('b')], 'broadcast: { maxBody: 10KiB }');
  const response = await on.send();
  expect(response.status).toBe(200);
  const { instances } = (await response.json()) as Told;
  expect(instances).toMatchObject([{ truncated: true, status: 200 }, { truncated: false }]);
  expect((instances[0]?.['body'] as string).length).toBe(10 * 1024);
  const { request: flooded } = (await on.upstreams[0]?.waitForAbort())!;
  expect(flooded.answeredBytes).toBeLessThan(32 * 1024 * 1024);
});

test('a body goes to everybody, each with a key of its own', async () => {
  const echo = respondWith(({ body, rawHeaders }) => ({
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ bytes: body.length, key: rawHeaders.find(([name]) => /^idem/i.test(name))?.[1] }),
  }));
  await using on = await cast([[echo], [echo], [echo]], 'broadcast: { methods: [POST], maxConcurrent: 1 }');
  const response = await on.send({
    method: 'POST',
    headers: { 'Idempotency-Key': 'k', 'content-type': 'text/plain', accept: 'application/x-ndjson' },
    body: Buffer.alloc(600_000, 'x'),
    chunked: true,
  });
  const results = linesOf(await response.text()).slice(0, 3) as { body: { bytes: number; key: string } }[];
  expect(results.map(({ body }) => body.bytes)).toEqual([600_000, 600_000, 600_000]);
  expect(new Set(results.map(({ body }) => body.key)).size).toBe(3);
});

test('a body that cannot be kept goes to nobody', async () => {
  await using on = await cast([named('a')], 'broadcast: { methods: [POST] }, replayLimit: 1KiB');
  const response = await on.send({ method: 'POST', body: Buffer.alloc(2_000) });
  expect([response.status, response.header('x-outrigger-code')]).toEqual([413, 'request_too_large']);
  expect(on.upstreams[0]?.requests).toEqual([]);
});

test('a method that was not allowed goes to nobody', async () => {
  await using on = await cast([named('a')]);
  const response = await on.send({ method: 'DELETE' });
  expect([response.status, response.header('allow')]).toEqual([405, 'GET, HEAD']);
});

test('results come as they are there: who is slow holds nobody up', async () => {
  const gate = holdResponse(respondJson({ name: 'slow' }));
  await using on = await cast([[gate], named('b'), []], `broadcast: {}, ${NO_RETRY}`);
  await on.upstreams[2]?.kill();
  await using client = await rawClient(on.sidecar.port);
  const response = await client.request({ path: '/api/_all/', headers: { accept: 'application/x-ndjson' } });
  expect(response.header('content-type')).toBe('application/x-ndjson');
  while (linesOf(response.received.toString()).length < 2) await response.nextChunk();
  expect(gate.held).toBe(1);
  expect(
    linesOf(response.received.toString())
      .map(({ endpoint }) => endpoint)
      .sort(),
  ).toEqual([on.upstreams[1]?.origin, on.upstreams[2]?.origin].sort());
  gate.release();
  expect(linesOf(await response.text()).slice(2)).toMatchObject([
    { type: 'instance', body: { name: 'slow' } },
    { type: 'summary', total: 3, ok: 2, failed: 1 },
  ]);
});

test.each(['application/json', 'text/event-stream'])(
  'a client that leaves takes all calls with it (%s)',
  async (accept) => {
    await using on = await cast([[stall()], [stall()], [stall()]], 'broadcast: { maxConcurrent: 2 }');
    const client = await rawClient(on.sidecar.port);
    void client.send(`GET /api/_all/ HTTP/1.1\r\nhost: x\r\naccept: ${accept}\r\n\r\n`);
    await Promise.all(on.upstreams.slice(0, 2).map((one) => one.waitForRequest()));
    client.destroy();
    await Promise.all(on.upstreams.slice(0, 2).map((one) => one.waitForAbort()));
    const [ended] = await on.sidecar.waitForEvent('exchange-ended');
    expect(ended).toMatchObject({ result: 'aborted' });
    expect(on.upstreams[2]?.requests).toEqual([]);
    const [line] = await on.sidecar.waitForLines(({ msg }) => msg === 'exchange');
    expect(line).toMatchObject({
      outcome: 'aborted',
      attempts: 2,
      trail: [{ reason: 'client_aborted' }, { reason: 'client_aborted' }],
    });
    expect(on.sidecar.eventsNamed('broadcast-ended')).toMatchObject([{ result: 'abandoned' }]);
  },
);

test('who drains or is taken out is not asked', async () => {
  await using on = await cast([named('a'), named('b'), named('c')]);
  for (const [i, state] of ['drain', 'disable'].entries()) {
    await ask(on.sidecar.adminPort, {
      method: 'POST',
      path: '/admin/upstreams/api/endpoints',
      json: { endpoint: on.upstreams[i]?.origin, state },
    });
  }
  const response = await on.send();
  expect(response.status).toBe(200);
  const { instances, leftOut } = (await response.json()) as Told;
  expect(instances).toMatchObject([{ body: { name: 'c' } }]);
  expect(leftOut).toEqual([
    { endpoint: on.upstreams[0]?.origin, why: 'draining' },
    { endpoint: on.upstreams[1]?.origin, why: 'disabled' },
  ]);
});

test('a sidecar that stops breaks it off', async () => {
  await using on = await cast([[stall()], named('b')], 'broadcast: {}', 'server: { drainTimeout: 50ms }');
  const answer = on.send();
  await on.upstreams[0]?.waitForRequest();
  await on.sidecar.sidecar.close();
  expect((await answer).status).toBe(503);
});

test('/_all is a path like any other where it is not allowed', async () => {
  await using on = await cast([[respondWith(({ target }) => ({ body: target }))]], 'sendToOne: {}');
  expect(await (await on.send({ path: '/_all/x' })).text()).toBe('/_all/x');
});

test('only the whole segment means everybody', async () => {
  await using on = await cast([[respondWith(({ target }) => ({ body: target }))]]);
  for (const path of ['/_allx', '/%5Fall/x', '/x/_all'])
    expect(await (await on.send({ path })).text()).toBe(path);
});

test('a place among the broadcasts is free again when the answer is out, also where it has no body', async () => {
  await using on = await cast([named('a')], 'broadcast: { maxBroadcasts: 1 }');
  for (const method of ['HEAD', 'GET', 'HEAD', 'GET']) {
    const response = await on.send({ method });
    await response.text();
    expect(response.status).toBe(200);
  }
});
