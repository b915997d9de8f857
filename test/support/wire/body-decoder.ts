/** Takes a message body off a byte stream, whatever its framing, piece by piece as the bytes arrive. */
import { ChunkedDecoder } from './chunked-decoder.ts';
import type { Framing } from './framing.ts';

export class BodyDecoder {
  readonly framing: Framing;
  readonly #onData: (bytes: Buffer) => void;
  readonly #chunked: ChunkedDecoder | undefined;
  #left: number;

  constructor(framing: Framing, onData: (bytes: Buffer) => void) {
    this.framing = framing;
    this.#onData = onData;
    this.#left = framing.kind === 'length' ? framing.bytes : framing.kind === 'close' ? Infinity : 0;
    this.#chunked = framing.kind === 'chunked' ? new ChunkedDecoder(onData) : undefined;
  }

  /** Whether the message ended by its own framing; never for a close-delimited one. */
  get done(): boolean {
    return this.#chunked ? this.#chunked.done : this.#left === 0;
  }

  get trailers(): [string, string][] {
    return this.#chunked?.trailers ?? [];
  }

  /**
   * @returns the bytes after the end of the body, empty while it goes on
   * @throws WireError for broken chunking
   */
  push(bytes: Buffer): Buffer {
    if (this.#chunked) return this.#chunked.push(bytes);
    const taken = bytes.subarray(0, Math.min(this.#left, bytes.length));
    this.#left -= taken.length;
    if (taken.length > 0) this.#onData(taken);
    return bytes.subarray(taken.length);
  }
}
