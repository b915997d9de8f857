/** Request bodies: kept small ones, streamed large ones, and every way in which they end too early. */
import { describe, expect, test } from 'vitest';
import { rawClient, type RawClient } from '../support/raw-client.ts';
import { earlyAnswer, respond, respondWith } from '../support/steps/answers.ts';
import { closeBeforeResponse, resetMidUpload } from '../support/steps/cuts.ts';
import { stallUpload } from '../support/steps/silence.ts';
import { turns } from '../support/turns.ts';
import { stage } from './stage.ts';

const MIB = 1024 * 1024;
const RETRY = 'retry: { maxRetries: 2, backoff: { initial: 1ms, max: 1ms }, budget: false }';
const retried = `idempotent: true, policies: { ${RETRY}, circuitBreaker: false }`;

/** Bytes of which no two places look alike. */
function pattern(bytes: number): Buffer {
  const body = Buffer.alloc(bytes);
  for (let i = 0; i + 4 <= bytes; i += 4) body.writeUInt32LE((i * 2_654_435_761) >>> 0, i);
  return body;
}

const count = respondWith(({ body }) => ({ body: String(body.length) }));

describe('small bodies', () => {
  test('are sent in one write with their head, however the client sent them', async () => {
    await using on = await stage([count]);
    await using client = await rawClient(on.port);
    void client.send('POST /api/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
    await turns(5);
    expect(on.upstream.connections.opened).toBe(0);
    void client.send('3\r\ndef\r\n0\r\n\r\n');
    expect(await (await client.response('POST')).text()).toBe('6');
    const [request] = on.upstream.requests;
    expect(request?.framing).toEqual({ kind: 'length', bytes: 6 });
    expect(request?.text()).toBe('abcdef');
  });

  test.each([
    ['a length of zero', 'content-length: 0', ''],
    ['no chunk', 'transfer-encoding: chunked', '0\r\n\r\n'],
    ['neither', 'x-none: 1', ''],
  ])('with %s are empty requests', async (_, field, body) => {
    await using on = await stage([count]);
    await using client = await rawClient(on.port);
    void client.send(`POST /api/x HTTP/1.1\r\nhost: a\r\n${field}\r\n\r\n${body}`);
    expect(await (await client.response('POST')).text()).toBe('0');
    expect(on.upstream.requests[0]?.framing).toEqual({ kind: 'length', bytes: 0 });
  });

  test.each(['GET', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND'])('of a %s are sent, too', async (method) => {
    await using on = await stage([count]);
    expect(await (await on.send({ method, body: 'hello' })).text()).toBe('5');
    expect(on.upstream.requests[0]?.text()).toBe('hello');
  });
});

describe('large bodies', () => {
  test.each([true, false])('are replayed byte for byte up to the limit (chunked: %s)', async (chunked) => {
    const body = pattern(3 * MIB);
    const script = [closeBeforeResponse(), resetMidUpload(), count];
    await using on = await stage(script, { api: retried });
    const response = await on.send({ method: 'POST', body, chunked });
    expect(await response.text()).toBe(String(body.length));
    expect(response.header('x-outrigger-attempts')).toBe('3');
    expect(response.header('x-outrigger-replay')).toBeUndefined();
    expect(on.upstream.requests[0]?.body.equals(body)).toBe(true);
    expect(on.upstream.requests[2]?.body.equals(body)).toBe(true);
    expect(on.sidecar.sidecar.dataPlane.replayBytes).toBe(0);
  });

  test('beyond the limit are sent once, and header and metric say that there was no replay', async () => {
    const body = pattern(MIB);
    await using on = await stage([closeBeforeResponse()], { api: `${retried}, replayLimit: 100KiB` });
    const response = await on.send({ method: 'POST', body });
    expect(response.status).toBe(502);
    expect(response.header('x-outrigger-replay')).toBe('skipped');
    expect(response.header('x-outrigger-attempts')).toBe('1');
    expect(on.upstream.requests.map((request) => request.body.equals(body))).toEqual([true]);
    await on.sidecar.waitForEvent('exchange-ended');
    expect(await on.sidecar.metric('outrigger_replay_skipped_total', { upstream: 'api' })).toBe(1);
    expect(on.sidecar.eventsNamed('retry-refused').map(({ why }) => why)).toEqual(['not-replayable']);
  });

  test('just at the limit are replayed, one byte more is not', async () => {
    for (const [bytes, attempts] of [
      [100 * 1024, '2'],
      [100 * 1024 + 1, '1'],
    ] as const) {
      await using on = await stage([closeBeforeResponse(), count], {
        api: `${retried}, replayLimit: 100KiB`,
      });
      const response = await on.send({ method: 'POST', body: pattern(bytes) });
      expect(response.header('x-outrigger-attempts')).toBe(attempts);
    }
  });

  test('are sent once when the memory for all of them is used up, and it comes back', async () => {
    await using on = await stage([stallUpload(), closeBeforeResponse(), closeBeforeResponse(), count], {
      api: retried,
      rest: 'server: { replayMemory: 2MiB }',
    });
    const first = on.send({ method: 'POST', body: pattern(1_500_000) }).catch(() => undefined);
    await on.upstream.waitForRequestHead();
    await expect.poll(() => on.sidecar.sidecar.dataPlane.replayBytes).toBeGreaterThan(MIB / 2);
    const second = await on.send({ method: 'POST', body: pattern(1_900_000) });
    expect(second.header('x-outrigger-replay')).toBe('skipped');
    expect(second.header('x-outrigger-attempts')).toBe('1');
    expect(on.upstream.requests[1]?.body).toHaveLength(1_900_000);
    on.upstream.resume();
    await on.upstream.kill();
    await first;
    await expect.poll(() => on.sidecar.sidecar.dataPlane.replayBytes).toBe(0);
  });

  test('of 64 MiB pass with bounded memory, whole', async () => {
    const block = pattern(MIB);
    await using on = await stage([
      respondWith(({ body }) => ({ body: `${body.length} ${body.subarray(-MIB).equals(block)}` })),
    ]);
    await using client = await rawClient(on.port);
    void client.send(`POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: ${64 * MIB}\r\n\r\n`);
    let most = 0;
    for (let n = 0; n < 64; n++) {
      await client.send(block);
      most = Math.max(most, on.sidecar.sidecar.dataPlane.replayBytes);
    }
    expect(await (await client.response('POST', { timeoutMs: 10_000 })).text()).toBe(`${64 * MIB} true`);
    expect(most).toBeLessThanOrEqual(10 * MIB);
    expect(on.sidecar.sidecar.dataPlane.replayBytes).toBe(0);
  });

  test('that nobody takes stop the client, not the memory', async () => {
    await using on = await stage([stallUpload()], { api: 'replayLimit: 1MiB' });
    await using client = await rawClient(on.port);
    void client.send(`POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: ${256 * MIB}\r\n\r\n`);
    const before = process.memoryUsage().rss;
    const block = Buffer.alloc(MIB);
    let taken = 0;
    for (let stuck = false; !stuck;) {
      const sent = client.send(block).then(() => true);
      stuck = !(await Promise.race([sent, turns(500).then(() => false)]));
      if (!stuck) taken += 1;
      expect(taken).toBeLessThan(32);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(80 * MIB);
    client.destroy();
  });
});

describe('uploads that end too early', () => {
  async function begin(client: RawClient, framing: string, bytes: number): Promise<void> {
    await client.send(`POST /api/x HTTP/1.1\r\nhost: a\r\n${framing}\r\n\r\n`);
    await client.send(
      framing.includes('chunked') ? `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n` : 'x'.repeat(bytes),
    );
  }

  test.each([
    ['small', 100],
    ['large', 200_000],
  ])(
    'a client that stops in a %s body is answered 408, and the upstream sees no request as complete',
    async (_, bytes) => {
      await using on = await stage([respond()], { rest: 'server: { bodyTimeout: 120ms }' });
      for (const framing of ['content-length: 1000000', 'transfer-encoding: chunked']) {
        await using client = await rawClient(on.port);
        await begin(client, framing, bytes);
        const response = await client.response('POST');
        expect(response.status).toBe(408);
        expect(response.header('x-outrigger-code')).toBe('request_timeout');
      }
      await on.upstream.waitForIdle();
      expect(on.upstream.requests.filter(({ complete }) => complete)).toEqual([]);
      expect(
        await on.sidecar.metric('outrigger_attempts_total', { upstream: 'api', class: 'transient' }),
      ).toBe(0);
    },
  );

  test.each([
    ['announced', 'content-length: 1000000'],
    ['in chunks', 'transfer-encoding: chunked'],
  ])('a body that is too large, %s, is answered 413', async (_, framing) => {
    await using on = await stage([respond()], { rest: 'server: { maxRequestBody: 150KiB }' });
    await using client = await rawClient(on.port);
    await begin(client, framing, 200_000);
    const response = await client.response('POST');
    expect(response.status).toBe(413);
    expect(response.header('x-outrigger-code')).toBe('request_too_large');
    await on.upstream.waitForIdle();
    expect(on.upstream.requests.filter(({ complete }) => complete)).toEqual([]);
  });

  test('a broken chunk is a 400 and an abort upstream', async () => {
    await using on = await stage([respond()]);
    await using client = await rawClient(on.port);
    await begin(client, 'transfer-encoding: chunked', 200_000);
    await on.upstream.waitForRequestHead();
    void client.send('zz\r\n');
    expect((await client.response('POST')).status).toBe(400);
    expect((await on.upstream.waitForRequest()).upload).toBe('cut');
    await on.sidecar.waitForEvent('exchange-ended');
  });
});

describe('an answer before the end of the upload', () => {
  const refusal = { status: 413, body: 'too much', headers: { 'retry-after': '7' } };

  test.each(['drain', 'fin', 'stop-reading'] as const)(
    'is passed on, and the client may finish (%s)',
    async (then) => {
      const api = 'policies: { retry: false }';
      await using on = await stage([earlyAnswer(refusal, then)], { api });
      await using client = await rawClient(on.port);
      void client.send(`POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: ${8 * MIB}\r\n\r\n`);
      void client.send(pattern(4 * MIB));
      const response = await client.response('POST');
      expect(response.status).toBe(413);
      expect(await response.text()).toBe('too much');
      expect(response.header('retry-after')).toBe('7');
      await client.send(pattern(4 * MIB));
      await on.sidecar.waitForEvent('exchange-ended');
      expect(on.sidecar.sidecar.dataPlane.replayBytes).toBe(0);
      void client.send('GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n');
      expect((await client.response()).status).toBe(404);
    },
  );

  test('leaves no memory taken by what comes after it', async () => {
    await using on = await stage([earlyAnswer({ status: 401 })], { api: 'policies: { retry: false }' });
    await using client = await rawClient(on.port);
    void client.send(`POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: ${4 * MIB}\r\n\r\n`);
    void client.send(pattern(200_000));
    expect((await client.response('POST')).status).toBe(401);
    await client.send(pattern(4 * MIB - 200_000));
    await on.sidecar.waitForEvent('exchange-ended');
    await turns(20);
    expect(on.sidecar.sidecar.dataPlane.replayBytes).toBe(0);
  });
});
