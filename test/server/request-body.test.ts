import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { ClientBody, ReplayMemory } from '../../src/server/request-body.ts';
import type { BodyLimits } from '../../src/server/request-body.ts';
import { UploadWatch } from '../../src/server/upload-watch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { rawClient } from '../support/raw-client.ts';
import type { RawClient } from '../support/raw-client.ts';
import { turns } from '../support/turns.ts';
import { chunkBytes, lastChunkBytes } from '../support/wire/serialize.ts';

const LIMITS: BodyLimits = { replayBytes: 1_000, bufferFirstBytes: 10, maxBytes: 10_000, idleMs: 5_000 };

interface Upload extends AsyncDisposable {
  readonly body: ClientBody;
  readonly client: RawClient;
  readonly clock: FakeClock;
  readonly memory: ReplayMemory;
  /** How often the client was told to go on. */
  readonly continues: () => number;
}

interface UploadOptions {
  readonly limits?: Partial<BodyLimits>;
  /** Announced length; without one the body comes in chunks. */
  readonly length?: number;
  readonly expectsContinue?: boolean;
}

/** A request on a real connection of which only the head has come. Its body is let go when the connection is gone. */
async function upload({ limits, length, expectsContinue = false }: UploadOptions = {}): Promise<Upload> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = await rawClient((server.address() as AddressInfo).port);
  const came = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
  const framing = length === undefined ? 'transfer-encoding: chunked' : `content-length: ${length}`;
  void client.send(`POST / HTTP/1.1\r\nhost: a\r\n${framing}\r\n\r\n`);
  const [req, res] = await came;
  const [clock, memory] = [new FakeClock(), new ReplayMemory()];
  let continues = 0;
  const body = new ClientBody(req, length, {
    limits: { ...LIMITS, ...limits },
    memory,
    clock,
    watch: new UploadWatch(clock),
    ...(expectsContinue && { sendContinue: () => (continues += 1) }),
  });
  res.on('close', () => body.release(res.writableFinished));
  const dispose = async (): Promise<void> => {
    client.destroy();
    await once(server.close(), 'close');
  };
  return { body, client, clock, memory, continues: () => continues, [Symbol.asyncDispose]: dispose };
}

const sendChunk = (client: RawClient, text: string): void => void client.send(chunkBytes(text));
const sendEnd = (client: RawClient): void => void client.send(lastChunkBytes());

const textOf = (bytes: Uint8Array | null | undefined): string | null | undefined =>
  bytes && Buffer.from(bytes).toString('latin1');

/** What one attempt gets when it takes all of it. */
async function taken(body: ClientBody): Promise<string> {
  const opened = body.open();
  if (!(opened instanceof Readable)) return textOf(opened) ?? '';
  const pieces: Buffer[] = [];
  for await (const piece of opened as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces).toString('latin1');
}

/** An attempt that takes what is here, and fails once `bytes` have come. */
async function failAfter(body: ClientBody, bytes: number): Promise<void> {
  const opened = body.open() as Readable;
  let got = 0;
  for await (const piece of opened as AsyncIterable<Buffer>) if ((got += piece.length) >= bytes) break;
  expect(opened.destroyed).toBe(true);
}

describe('the whole of a body', () => {
  it('is there when its last byte is, in however many pieces it comes', async () => {
    await using on = await upload();
    const whole = on.body.whole();
    for (const piece of ['a'.repeat(200), 'b'.repeat(200), 'c'.repeat(200)]) {
      sendChunk(on.client, piece);
      await turns(5);
    }
    sendEnd(on.client);
    expect(textOf(await whole)).toBe(`${'a'.repeat(200)}${'b'.repeat(200)}${'c'.repeat(200)}`);
    expect(on.body).toMatchObject({ replayable: true, length: 600 });
    expect(await on.body.whole()).toBe(await whole);
    expect(on.memory.usedBytes).toBe(600);
  });

  it('is told to everyone who asked', async () => {
    await using on = await upload({ length: 5 });
    const asked = [on.body.whole(), on.body.whole()];
    void on.client.send('hello');
    expect((await Promise.all(asked)).map(textOf)).toEqual(['hello', 'hello']);
  });

  it('is none where the body turns out to be empty', async () => {
    await using on = await upload();
    sendEnd(on.client);
    expect(await on.body.whole()).toBeNull();
  });

  it('is read on for although an attempt’s upload stands still, which then gets all of it, too', async () => {
    await using on = await upload({ limits: { replayBytes: 2_000_000, maxBytes: 2_000_000 } });
    const text = 'x'.repeat(500_000);
    const stuck = on.body.open() as Readable;
    stuck.read(0);
    const whole = on.body.whole();
    sendChunk(on.client, text);
    sendEnd(on.client);
    expect(textOf(await whole)).toBe(text);
    let got = 0;
    for await (const piece of stuck as AsyncIterable<Buffer>) got += piece.length;
    expect(got).toBe(text.length);
  });

  it('is read on for after an attempt that failed in the middle', async () => {
    await using on = await upload();
    sendChunk(on.client, 'a'.repeat(100));
    await failAfter(on.body, 100);
    const whole = on.body.whole();
    sendChunk(on.client, 'b'.repeat(100));
    sendEnd(on.client);
    expect(textOf(await whole)).toBe(`${'a'.repeat(100)}${'b'.repeat(100)}`);
  });

  it('cannot be had when it is more than may be kept, and then can be sent once', async () => {
    await using on = await upload();
    const whole = on.body.whole();
    sendChunk(on.client, 'x'.repeat(1_001));
    expect(await whole).toBeUndefined();
    expect(await on.body.whole()).toBeUndefined();
    expect(on.body.replayable).toBe(true);
    const sent = taken(on.body);
    sendChunk(on.client, 'y'.repeat(500));
    sendEnd(on.client);
    expect(await sent).toBe(`${'x'.repeat(1_001)}${'y'.repeat(500)}`);
    expect(on.body.replayable).toBe(false);
  });

  it('cannot be had when the memory for all bodies is used up', async () => {
    await using on = await upload();
    on.memory.limitBytes = 5;
    const whole = on.body.whole();
    sendChunk(on.client, 'too much');
    expect(await whole).toBeUndefined();
  });

  it('cannot be had when it is larger than any body may be', async () => {
    await using on = await upload({ limits: { maxBytes: 100 } });
    const whole = on.body.whole();
    sendChunk(on.client, 'x'.repeat(101));
    expect(await whole).toBeUndefined();
    expect(on.body.problem).toBe('too-large');
    await using announced = await upload({ limits: { maxBytes: 100 }, length: 101 });
    expect(await announced.body.whole()).toBeUndefined();
    expect(announced.body.problem).toBe('too-large');
  });

  it('cannot be had when the client leaves, and nothing stays taken', async () => {
    await using on = await upload({ length: 100 });
    const whole = on.body.whole();
    void on.client.send('half of it');
    await expect.poll(() => on.memory.usedBytes).toBe(10);
    on.client.destroy();
    expect(await whole).toBeUndefined();
    expect(on.body.problem).toBe('client-aborted');
    expect(on.memory.usedBytes).toBe(0);
    expect(await on.body.whole()).toBeUndefined();
  });

  it('cannot be had from a client that falls silent, which is late from its last byte on', async () => {
    await using on = await upload({ length: 100 });
    await on.clock.advance(4_000);
    const whole = on.body.whole();
    await on.clock.advance(4_000);
    void on.client.send('half of it');
    await expect.poll(() => on.body.receivedBytes).toBe(10);
    await on.clock.advance(4_000);
    expect(on.body.problem).toBeUndefined();
    await on.clock.advance(2_000);
    expect(await whole).toBeUndefined();
    expect(on.body.problem).toBe('client-idle');
  });

  it('is asked for, once, of a client that waits to be told to go on', async () => {
    await using on = await upload({ length: 5, expectsContinue: true });
    expect(on.continues()).toBe(0);
    const whole = [on.body.whole(), on.body.whole()];
    expect(on.continues()).toBe(1);
    void on.client.send('hello');
    expect((await Promise.all(whole)).map(textOf)).toEqual(['hello', 'hello']);
    expect(await taken(on.body)).toBe('hello');
    expect(on.continues()).toBe(1);
  });

  it('cannot be had any more once an answer has begun', async () => {
    await using on = await upload({ length: 5 });
    void on.client.send('hello');
    await on.body.whole();
    on.body.forget();
    expect(await on.body.whole()).toBeUndefined();
    expect(on.memory.usedBytes).toBe(0);
  });
});

describe('a body between two attempts', () => {
  it('takes nothing in, and gives the next one all of it', async () => {
    await using on = await upload({ length: 1_200 });
    void on.client.send('a'.repeat(400));
    await failAfter(on.body, 400);
    void on.client.send('b'.repeat(800));
    await turns(50);
    expect(on.body.receivedBytes).toBe(400);
    expect(on.body).toMatchObject({ replayable: true, waitingForClient: false });
    await on.clock.advance(60_000);
    expect(on.body.problem).toBeUndefined();
    expect(await taken(on.body)).toBe(`${'a'.repeat(400)}${'b'.repeat(800)}`);
  });

  it('takes nothing in either of what came together with the last piece that was taken', async () => {
    await using on = await upload();
    const first = on.body.open() as Readable;
    first.on('data', () => first.destroy());
    void on.client.send(Buffer.concat([chunkBytes('a'.repeat(600)), chunkBytes('b'.repeat(600))]));
    await new Promise((resolve) => first.once('close', resolve));
    await turns(20);
    expect(on.body).toMatchObject({ receivedBytes: 600, replayable: true });
    const second = taken(on.body);
    sendEnd(on.client);
    expect(await second).toBe(`${'a'.repeat(600)}${'b'.repeat(600)}`);
  });

  it('is refused where it was not kept, instead of sent in part', async () => {
    await using on = await upload({ length: 3_000 });
    void on.client.send('a'.repeat(2_000));
    await failAfter(on.body, 2_000);
    expect(on.body.replayable).toBe(false);
    void on.client.send('b'.repeat(1_000));
    const again = on.body.open() as Readable;
    let got = 0;
    again.on('data', (piece: Buffer) => (got += piece.length));
    await new Promise((resolve) => again.once('close', resolve));
    expect(again.errored?.message).toBe('the body was not kept');
    await turns(20);
    expect(got).toBe(0);
  });
});

describe('a body that is complete', () => {
  const limits = { replayBytes: 1_000_000, bufferFirstBytes: 1_000_000, maxBytes: 1_000_000 };

  it.each([
    [256 * 1024, 'in one piece'],
    [256 * 1024 + 1, 'as a stream'],
  ])('of %i bytes is given %s to every attempt, with its length', async (bytes, how) => {
    await using on = await upload({ limits });
    sendChunk(on.client, 'x'.repeat(bytes));
    sendEnd(on.client);
    await on.body.ready();
    expect(on.body.length).toBe(bytes);
    for (let attempt = 0; attempt < 2; attempt++) {
      const opened = on.body.open();
      expect(opened instanceof Readable ? 'as a stream' : 'in one piece').toBe(how);
      expect((await taken(on.body)).length).toBe(bytes);
    }
  });

  it('can be sent by two attempts side by side, and by one that outlives what was kept', async () => {
    await using on = await upload({ limits });
    const [one, two] = ['a'.repeat(300_000), 'b'.repeat(300_000)];
    const early = on.body.open() as Readable;
    early.read(0);
    expect(on.body.shareable).toBe(false);
    sendChunk(on.client, one);
    sendChunk(on.client, two);
    sendEnd(on.client);
    await on.body.whole();
    expect(on.body.shareable).toBe(true);
    const [second, third] = [taken(on.body), on.body.open() as Readable];
    on.body.forget();
    expect(on.body.shareable).toBe(false);
    const pieces: Buffer[] = [];
    for await (const piece of early as AsyncIterable<Buffer>) pieces.push(piece);
    expect(Buffer.concat(pieces).toString()).toBe(one + two);
    expect(await second).toBe(one + two);
    let left = 0;
    for await (const piece of third as AsyncIterable<Buffer>) left += piece.length;
    expect(left).toBe(600_000);
  });
});
