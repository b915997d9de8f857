/** The cache on real connections: what an agent without any library sees. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CHAT_JSON, STREAMS } from '../support/openai-fixtures.ts';
import { flood, respond, respondJson, respondWith } from '../support/steps/answers.ts';
import { cutMidBody } from '../support/steps/cuts.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { rawClient, request } from '../support/raw-client.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { turns } from '../support/turns.ts';
import { stage } from './stage.ts';

const CACHED = 'policies: { cache: {} }';
const FRESH = { 'cache-control': 'max-age=60' };

describe('a GET that was asked before', () => {
  it('has the same head and body, framed as they were, with Age and Cache-Status', async () => {
    const answer = {
      headers: { ...FRESH, 'X-Odd': 'a', 'content-type': 'text/plain' },
      body: ['héllo ', 'wörld'],
      framing: 'chunked',
      trailers: { 'x-sum': '1' },
    } as const;
    await using s = await stage([respond(answer)], { api: CACHED });
    const first = await s.send({ path: '/things' });
    const bytes = await first.bytes();
    expect(first.header('cache-status')).toMatch(/^outrigger; fwd=uri-miss; stored; key="/);
    const second = await s.send({ path: '/things' });
    expect(await second.bytes()).toEqual(bytes);
    expect(second.header('age')).toBe('0');
    expect(second.header('cache-status')).toMatch(/^outrigger; hit; ttl=(60|59); key="/);
    expect(second.header('x-outrigger-source')).toBe('cache');
    expect(second.header('x-outrigger-attempts')).toBe('0');
    expect(second.header('x-odd')).toBe('a');
    expect(second.header('transfer-encoding')).toBe('chunked');
    expect(s.upstream.requests).toHaveLength(1);
    expect(await s.sidecar.metric('outrigger_cache_requests_total', { result: 'hit' })).toBe(1);
    expect(await s.sidecar.metric('outrigger_cache_entries')).toBe(1);
    expect(await s.sidecar.waitForLines(({ source }) => source === 'cache')).toMatchObject([
      { msg: 'exchange', attempts: 0, outcome: 'ok' },
    ]);
  });

  it('is told 304 where the agent has it, and has no body for HEAD', async () => {
    await using s = await stage([respond({ headers: { ...FRESH, etag: '"one"' }, body: 'hello' })], {
      api: CACHED,
    });
    await (await s.send()).text();
    const known = await s.send({ headers: { 'if-none-match': '"one"' } });
    expect([known.status, await known.text(), known.header('etag'), known.header('content-length')]).toEqual([
      304,
      '',
      '"one"',
      undefined,
    ]);
    const head = await s.send({ method: 'HEAD' });
    expect([head.status, await head.text(), head.header('content-length')]).toEqual([200, '', '5']);
    expect(s.upstream.requests).toHaveLength(1);
  });

  it('is asked for again with its tag when its time is over', async () => {
    const tagged = { ...FRESH, 'cache-control': 'no-cache', etag: '"one"' };
    await using s = await stage(
      [respond({ headers: tagged, body: 'hello' }), respond({ status: 304, headers: tagged })],
      { api: CACHED },
    );
    await (await s.send()).text();
    const again = await s.send();
    expect([again.status, await again.text()]).toEqual([200, 'hello']);
    expect(again.header('cache-status')).toMatch(/^outrigger; fwd=stale; fwd-status=304;/);
    expect(again.header('x-outrigger-attempts')).toBe('1');
    expect(s.upstream.requests[1]?.header('if-none-match')).toBe('"one"');
  });

  it('is refused in the agent’s own words where it is not there', async () => {
    await using s = await stage([respond()], { api: CACHED });
    const refused = await s.send({ headers: { 'cache-control': 'only-if-cached' } });
    expect([refused.status, refused.header('x-outrigger-code')]).toEqual([504, 'not_cached']);
    expect(s.upstream.requests).toHaveLength(0);
  });
});

describe('a completion', () => {
  const MODELS =
    'preset: azure-openai, policies: { cache: { models: { ttl: 1h } }, retry: false, pacing: false }';
  const ask = (body: unknown) => ({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json', authorization: 'Bearer one' },
    body: JSON.stringify(body),
  });
  const prompt = { model: 'm', messages: [] };

  it('is replayed as the stream that it was, byte for byte', async () => {
    for (const [name, text] of Object.entries(STREAMS)) {
      if (name.startsWith('responses')) continue;
      const pieces = [...text.matchAll(/[^]{1,37}/gu)].map(([piece]) => piece);
      const answer = {
        headers: { 'content-type': 'text/event-stream' },
        body: pieces,
        framing: 'chunked',
      } as const;
      await using s = await stage([respond(answer)], { api: MODELS });
      const path = name === 'completion' ? '/v1/completions' : '/v1/chat/completions';
      const first = await s.send({ ...ask({ ...prompt, stream: true }), path });
      expect(await first.text(), name).toBe(text);
      const second = await s.send({ ...ask({ stream: true, ...prompt }), path });
      expect(await second.text(), name).toBe(text);
      expect([second.header('content-type'), second.header('x-outrigger-source')]).toEqual([
        'text/event-stream',
        'cache',
      ]);
      expect(s.upstream.requests).toHaveLength(1);
    }
  });

  it('is not kept when it broke off, though its agent was told in the stream', async () => {
    const sent = STREAMS.chat.slice(0, STREAMS.chat.indexOf('lo"'));
    const cut = cutMidBody({ framing: 'chunked', sent, contentType: 'text/event-stream' });
    await using s = await stage([cut, respondJson(CHAT_JSON)], { api: MODELS });
    await (await s.send(ask({ ...prompt, stream: true }))).bytes();
    const again = await s.send(ask({ ...prompt, stream: true }));
    expect(again.header('x-outrigger-source')).toBeUndefined();
    expect(s.upstream.requests).toHaveLength(2);
    expect(await s.sidecar.metric('outrigger_cache_stores_total', { result: 'not-good' })).toBe(1);
  });

  it('is shared by agents that ask at the same time, and survives the one that began it', async () => {
    const answer = controlledStream();
    await using s = await stage([answer], { api: MODELS });
    const call = { ...ask({ ...prompt, stream: true }), path: '/api/v1/chat/completions' };
    const first = await rawClient(s.port);
    const leading = first.request(call);
    const others = Array.from({ length: 2 }, () => request(s.port, call));
    await answer.head();
    const events = STREAMS.chat.split(/(?<=\n\n)/);
    await answer.write(events.slice(0, 2).join(''));
    const joined = await Promise.all(others);
    await leading;
    first.destroy();
    await s.sidecar.waitForEvent('exchange-ended');
    const late = await request(s.port, call);
    for (const event of events.slice(2)) await answer.write(event);
    await answer.end();
    for (const one of [...joined, late]) expect(await one.text()).toBe(STREAMS.chat);
    expect(s.upstream.requests).toHaveLength(1);
    expect(late.header('cache-status')).toContain('; collapsed');
    expect(await s.sidecar.metric('outrigger_cache_requests_total', { result: 'joined' })).toBe(3);
  });

  it('is given up at the upstream when the last agent has left', async () => {
    const answer = controlledStream();
    await using s = await stage([answer], { api: MODELS });
    const call = { ...ask({ ...prompt, stream: true }), path: '/api/v1/chat/completions' };
    const clients = [await rawClient(s.port), await rawClient(s.port)];
    const pending = clients.map((client) => client.request(call));
    await answer.head();
    await answer.write(STREAMS.chat.slice(0, STREAMS.chat.indexOf('lo"')));
    await Promise.all(pending);
    clients[0]?.destroy();
    await s.sidecar.waitForEvent('exchange-ended');
    await turns(20);
    expect(s.upstream.aborts).toHaveLength(0);
    clients[1]?.destroy();
    await expect.poll(() => s.upstream.aborts.length, { interval: 2 }).toBe(1);
  });
});

describe('a large answer', () => {
  it('goes through whole, is not kept, and holds no memory', async () => {
    const size = 8 * 1024 * 1024;
    await using s = await stage([flood(size)], {
      api: 'policies: { cache: { get: { ttl: 1m }, maxEntryBytes: 64KiB } }',
    });
    const [one, two] = await Promise.all([s.send(), s.send()]);
    const digests = (await Promise.all([one.bytes(), two.bytes()])).map((bytes) =>
      createHash('sha256').update(bytes).digest('hex'),
    );
    expect(digests[0]).toBe(digests[1]);
    expect((await one.bytes()).length).toBe(size);
    expect(await s.sidecar.metric('outrigger_cache_bytes')).toBe(0);
    expect(
      s.sidecar.sidecar.supervisor.runtime.upstreams.get('api')?.policies.get('cache')?.snapshot(),
    ).toMatchObject({ bytesOnTheirWay: 0, flights: 0 });
  });
});

describe('rows F1 and F2 of the requirements', () => {
  it('F2: an answer is used for five seconds, and says how old it is', async () => {
    let n = 0;
    const counting = respondWith(() => ({ body: `${++n}` }));
    await using s = await stage([counting], { api: 'policies: { cache: { get: { ttl: 5s } } }' });
    const answers: (string | undefined)[][] = [];
    for (let i = 0; i < 3; i++) {
      const seen = await s.send();
      answers.push([await seen.text(), seen.header('age')]);
    }
    expect(answers).toEqual([
      ['1', undefined],
      ['1', '0'],
      ['1', '0'],
    ]);
  });

  it('F1: another path, then what was answered before, then the default after 800 ms', async () => {
    await using away = await scriptedUpstream([respond({ status: 503 })]);
    const ladder =
      'fallback: { after: 800ms, steps: [{ upstream: other }, { cache: stale }, { static: { body: default } }] }';
    const others = [
      `other: { route: /other, endpoints: [{ url: "${away.origin}" }], policies: { retry: false } }`,
    ];
    const silent = controlledStream();
    const api = `policies: { cache: {}, retry: false, ${ladder} }`;
    await using s = await stage([respond({ body: 'light' }), respond({ status: 503 }), silent], {
      api,
      others,
    });
    await (await s.send()).text();
    const stale = await s.send();
    expect([stale.status, await stale.text(), stale.header('age')]).toEqual([200, 'light', '0']);
    expect(stale.header('cache-status')).toMatch(/^outrigger; fwd=stale; ttl=(0|-1); detail=fallback$/);
    const startedAt = performance.now();
    const heavy = await s.send({ path: '/never-asked' });
    expect([heavy.status, await heavy.text()]).toEqual([200, 'default']);
    expect(performance.now() - startedAt).toBeGreaterThan(700);
  });
});

describe.skipIf(!hasRedis)('two sidecars on one Redis', () => {
  it('share answers, and purge them for each other', async () => {
    await using redis = await startRedis();
    await using upstream = await scriptedUpstream([
      respond({ headers: FRESH, body: ['a', '\u0000b'], framing: 'chunked' }),
    ]);
    const yaml = `state: { redis: { url: "${redis.url}", timeout: 2s } }
upstreams: { api: { route: /api, endpoints: [{ url: "${upstream.origin}" }], ${CACHED} } }`;
    await using one = await startSidecar(yaml);
    await using two = await startSidecar(yaml);
    // The address is a part of what is asked for: answers may speak of it.
    const headers = { host: 'sidecar.test' };
    const send = (port: number) => request(port, { path: '/api/x', headers });
    await (await send(one.port)).text();
    await one.waitForEvent('cache-kept');
    await expect.poll(async () => (await send(two.port)).header('x-outrigger-source')).toBe('cache');
    expect(await (await send(two.port)).text()).toBe('a\u0000b');
    expect(upstream.requests.length).toBeLessThanOrEqual(2);
    const before = upstream.requests.length;
    const purge = {
      method: 'POST',
      path: '/admin/upstreams/api/cache/purge',
      body: '{"all":true}',
      headers: { 'content-type': 'application/json', host: '127.0.0.1' },
    };
    expect(await (await request(two.adminPort, purge)).text()).toBe('{"purged":1}');
    await (await send(one.port)).text();
    expect(upstream.requests).toHaveLength(before + 1);
  });
});
