/** Reads a copy of what passes in a content coding. The bytes themselves go on as they came. */
import type { Buffer } from 'node:buffer';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import type { Transform } from 'node:stream';

export interface Decoder {
  push(chunk: Uint8Array): void;
  /** Calls back when everything that was pushed has been read, as far as it can be. */
  finish(done: () => void): void;
  /** No more is wanted. */
  close(): void;
}

const CODINGS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/**
 * @param onUnreadable called once when what comes is not in the coding that it claims to be in
 * @returns undefined for a coding, or a chain of codings, that cannot be read
 */
export function decoderOf(
  contentEncoding: string | undefined,
  onBytes: (bytes: Uint8Array) => void,
  onUnreadable: () => void,
): Decoder | undefined {
  const coding = contentEncoding?.trim().toLowerCase() ?? '';
  if (coding === '' || coding === 'identity') return plain(onBytes);
  const create = Object.hasOwn(CODINGS, coding) ? CODINGS[coding] : undefined;
  return create && new Decompressor(create(), onBytes, onUnreadable);
}

const plain = (onBytes: (bytes: Uint8Array) => void): Decoder => ({
  push: onBytes,
  finish: (done) => done(),
  close: () => undefined,
});

/** What all decompressors call an end that came too early. */
const TOO_SHORT = 'Z_BUF_ERROR';

class Decompressor implements Decoder {
  readonly #stream: Transform;
  #over = false;
  #closed = false;
  #done: (() => void) | undefined;

  constructor(stream: Transform, onBytes: (bytes: Uint8Array) => void, onUnreadable: () => void) {
    this.#stream = stream;
    stream.on('data', (bytes: Buffer) => onBytes(bytes));
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // One that merely stops too early was readable as far as it went.
      if (!this.#closed && error.code !== TOO_SHORT) onUnreadable();
      this.#finished();
    });
    stream.on('close', () => this.#finished());
  }

  push(chunk: Uint8Array): void {
    if (!this.#over) this.#stream.write(chunk);
  }

  finish(done: () => void): void {
    this.#done = done;
    if (this.#over) this.#finished();
    else this.#stream.end();
  }

  close(): void {
    this.#closed = true;
    this.#over = true;
    this.#done = undefined;
    this.#stream.destroy();
  }

  #finished(): void {
    this.#over = true;
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }
}
