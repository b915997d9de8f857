/** Bodies that are sent more than once while they still come in, and large ones that go out piece by piece. */
import { describe, expect, test } from 'vitest';
import { apiAt, ownSidecar } from '../incidents/own-sidecar.ts';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { earlyAnswer, respond, respondWith } from '../support/steps/answers.ts';
import { closeBeforeResponse } from '../support/steps/cuts.ts';
import { stall, stallUpload } from '../support/steps/silence.ts';
import { turns } from '../support/turns.ts';
import { chunkBytes, lastChunkBytes } from '../support/wire/serialize.ts';

const KIB = 1024;
const SLOW_RETRY = 'retry: { maxRetries: 1, backoff: { kind: constant, initial: 1s, jitter: none } }';

/** Says what the body was made of, in order: `100a, 200b`. */
const tally = respondWith(({ body }) => {
  const runs: string[] = [];
  for (let at = 0; at < body.length;) {
    const byte = body[at] ?? 0;
    const start = at;
    while (body[at] === byte) at += 1;
    runs.push(`${at - start}${String.fromCharCode(byte)}`);
  }
  return { body: runs.join(', ') };
});

const unavailable = earlyAnswer({ status: 503 });

describe('what comes between two attempts', () => {
  const framings = {
    length: ['content-length: 300000', (piece: string) => piece, ''],
    chunks: ['transfer-encoding: chunked', (piece: string) => chunkBytes(piece), lastChunkBytes()],
  } as const;

  test.each(['length', 'chunks'] as const)(
    'waits for the next one, which may be the last that the limit allows (framed by %s)',
    async (framing) => {
      const [field, frame, end] = framings[framing];
      await using upstream = await scriptedUpstream([unavailable, tally]);
      const settings = `idempotent: true, replayLimit: 128KiB, policies: { ${SLOW_RETRY} }`;
      await using own = await ownSidecar(apiAt(upstream.origin, settings));
      await using client = await rawClient(own.port);
      void client.send(`POST /api/x HTTP/1.1\r\nhost: a\r\n${field}\r\n\r\n`);
      void client.send(frame('a'.repeat(100_000)));
      await own.until('retry-scheduled');
      void client.send(frame('b'.repeat(100_000)));
      await turns(50);
      await own.clock.advance(1_000);
      void client.send(frame('c'.repeat(100_000)));
      void client.send(end);
      const response = await client.response('POST');
      expect(await response.text()).toBe('100000a, 100000b, 100000c');
      expect(response.header('x-outrigger-attempts')).toBe('2');
      expect(upstream.requests.map(({ complete }) => complete)).toEqual([false, true]);
    },
  );

  test('is not taken as silence of the client, however long the backoff is', async () => {
    await using upstream = await scriptedUpstream([unavailable, tally]);
    const retry = SLOW_RETRY.replace('initial: 1s', 'initial: 60s, max: 60s');
    const settings = `idempotent: true, policies: { ${retry}, deadline: false }`;
    const server = 'server: { bodyTimeout: 5s }\n';
    await using own = await ownSidecar(server + apiAt(upstream.origin, settings));
    await using client = await rawClient(own.port);
    void client.send('POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n');
    void client.send('a'.repeat(100_000));
    await own.until('retry-scheduled');
    await own.clock.advance(60_000);
    await upstream.waitForRequestHead(2);
    void client.send('b'.repeat(100_000));
    expect(await (await client.response('POST')).text()).toBe('100000a, 100000b');
  });
});

describe('a large body that is here already', () => {
  const body = Buffer.alloc(16 * KIB * KIB, 'x');
  const timers = 'attemptTimeout: { connect: false, firstByte: 2s, idle: 120s }';
  const settings = `idempotent: true, replayLimit: 32MiB, policies: { ${timers}, ${SLOW_RETRY}, deadline: false }`;

  test('has its time to the first byte of the answer from when all of it was sent, on every attempt', async () => {
    await using upstream = await scriptedUpstream([closeBeforeResponse(), tally]);
    await using own = await ownSidecar(apiAt(upstream.origin, settings));
    const answer = own.send({ method: 'POST', body });
    await own.until('retry-scheduled');
    await own.clock.advance(1_000);
    await upstream.waitForRequestHead(2);
    upstream.pause();
    await turns(200);
    await own.clock.advance(60_000);
    expect(own.events.of('attempt-timed-out')).toEqual([]);
    upstream.resume();
    expect(await (await answer).text()).toBe(`${body.length}x`);
  });

  test('is bounded by the silence of an upstream that stops to read it', async () => {
    await using upstream = await scriptedUpstream([closeBeforeResponse(), stallUpload()]);
    await using own = await ownSidecar(apiAt(upstream.origin, settings));
    const answer = own.send({ method: 'POST', body });
    await own.until('retry-scheduled');
    await own.clock.advance(1_000);
    await upstream.waitForRequestHead(2);
    await turns(200);
    await own.clock.advance(121_000);
    expect((await answer).header('x-outrigger-code')).toBe('write_timeout');
  });

  test('is not taken for stuck while the upstream takes it bit by bit, however long that is in all', async () => {
    await using upstream = await scriptedUpstream([closeBeforeResponse(), tally]);
    const impatient = settings.replace('firstByte: 2s, idle: 120s', 'firstByte: 60s, idle: 2s');
    await using own = await ownSidecar(apiAt(upstream.origin, impatient));
    const answer = own.send({ method: 'POST', body });
    await own.until('retry-scheduled');
    await own.clock.advance(1_000);
    const asked = await upstream.waitForRequestHead(2);
    for (const part of [0.25, 0.5, 0.75]) {
      await expect.poll(() => asked.body.length, { interval: 2 }).toBeGreaterThan(part * body.length);
      upstream.pause();
      await own.clock.advance(1_500);
      upstream.resume();
    }
    expect(await (await answer).text()).toBe(`${body.length}x`);
    expect(own.events.of('attempt-timed-out')).toEqual([]);
  });

  test('that has gone out leaves the upstream its time for the first byte only', async () => {
    await using upstream = await scriptedUpstream([closeBeforeResponse(), stall()]);
    await using own = await ownSidecar(apiAt(upstream.origin, settings));
    const answer = own.send({ method: 'POST', body });
    await own.until('retry-scheduled');
    await own.clock.advance(1_000);
    await upstream.waitForRequest(2);
    await turns(20);
    await own.clock.advance(2_100);
    expect((await answer).header('x-outrigger-code')).toBe('first_byte_timeout');
  });

  test('declares its length, also where the client sent it in chunks', async () => {
    await using upstream = await scriptedUpstream([closeBeforeResponse(), respond()]);
    await using own = await ownSidecar(apiAt(upstream.origin, settings));
    const answer = own.send({ method: 'POST', body: body.subarray(0, 400 * KIB), chunked: true });
    await own.until('retry-scheduled');
    await own.clock.advance(1_000);
    expect((await answer).status).toBe(200);
    expect(upstream.requests.map(({ framing }) => framing.kind)).toEqual(['chunked', 'length']);
  });
});
