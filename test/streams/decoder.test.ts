import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decoderOf } from '../../src/streams/decoder.ts';
import type { Decoder } from '../../src/streams/decoder.ts';

const TEXT = 'data: {"text":"é 🙂 and so on"}\n\n'.repeat(200);

interface Run {
  readonly decoder: Decoder;
  readonly text: () => string;
  readonly unreadable: () => number;
}

function start(coding: string | undefined): Run | undefined {
  const parts: Uint8Array[] = [];
  let complaints = 0;
  const decoder = decoderOf(
    coding,
    (bytes) => parts.push(bytes),
    () => (complaints += 1),
  );
  return decoder && { decoder, text: () => Buffer.concat(parts).toString(), unreadable: () => complaints };
}

async function decoded(coding: string, bytes: Uint8Array, size = 7): Promise<Run> {
  const run = start(coding);
  if (!run) throw new Error(`${coding} is not known`);
  for (let at = 0; at < bytes.length; at += size) run.decoder.push(bytes.subarray(at, at + size));
  await new Promise<void>((resolve) => run.decoder.finish(resolve));
  return run;
}

const CODED = {
  gzip: gzipSync(TEXT),
  'x-gzip': gzipSync(TEXT),
  deflate: deflateSync(TEXT),
  br: brotliCompressSync(TEXT),
  zstd: zstdCompressSync(TEXT),
} as const;

describe('decoderOf', () => {
  it.each(Object.entries(CODED))(
    'reads %s in pieces, and is done only when all is read',
    async (coding, bytes) => {
      for (const size of [1, 100, 1_000_000]) {
        const run = await decoded(coding, bytes, size);
        expect(run.text()).toBe(TEXT);
        expect(run.unreadable()).toBe(0);
      }
    },
  );

  it.each([undefined, '', 'identity', ' Identity '])('passes %j through at once', (coding) => {
    const run = start(coding);
    run?.decoder.push(Buffer.from('plain'));
    expect(run?.text()).toBe('plain');
    let done = false;
    run?.decoder.finish(() => (done = true));
    expect(done).toBe(true);
  });

  it('understands the name in any case', async () => {
    expect((await decoded(' GZip', CODED.gzip)).text()).toBe(TEXT);
  });

  it.each(['compress', 'gzip, br', 'aws-chunked', 'constructor', '__proto__'])(
    'knows nothing of %s',
    (coding) => {
      expect(start(coding)).toBeUndefined();
    },
  );

  it.each(Object.entries(CODED))('reads %s that ends too early as far as it goes', async (coding, bytes) => {
    const run = await decoded(coding, bytes.subarray(0, bytes.length - 3));
    expect(TEXT.startsWith(run.text())).toBe(true);
    expect(run.unreadable()).toBe(0);
  });

  it.each([
    ['gzip', Buffer.from(TEXT)],
    ['br', Buffer.from(TEXT)],
    ['zstd', Buffer.from(TEXT)],
    ['deflate', deflateRawSync(TEXT)],
  ])('says once that what comes is no %s', async (coding, bytes) => {
    const run = await decoded(coding, bytes, 100);
    run.decoder.push(Buffer.from('more'));
    expect(run.unreadable()).toBe(1);
  });

  it('reads nothing more and says nothing once it is closed', async () => {
    const run = start('gzip');
    run?.decoder.push(CODED.gzip.subarray(0, 20));
    run?.decoder.close();
    run?.decoder.push(CODED.gzip.subarray(20));
    run?.decoder.push(Buffer.from('nonsense'));
    await new Promise((resolve) => setImmediate(resolve));
    expect([run?.text(), run?.unreadable()]).toEqual(['', 0]);
  });

  it('is done at once when it is asked to finish after it was closed', () => {
    const run = start('br');
    run?.decoder.close();
    let done = false;
    run?.decoder.finish(() => (done = true));
    expect(done).toBe(true);
  });
});
