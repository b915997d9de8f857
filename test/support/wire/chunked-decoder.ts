/** Chunked transfer coding, incremental and strict: sizes are plain hex, lines end in CRLF. */
import { parseFieldLines, WireError } from './headers.ts';

type State = 'size' | 'data' | 'data-end' | 'trailers' | 'done';

const maxLineBytes = 64 * 1024;
const empty = Buffer.alloc(0);

export class ChunkedDecoder {
  readonly trailers: [string, string][] = [];
  readonly #onData: (bytes: Buffer) => void;
  #state: State = 'size';
  #left = 0;
  #held: Buffer = empty;

  constructor(onData: (bytes: Buffer) => void) {
    this.#onData = onData;
  }

  get done(): boolean {
    return this.#state === 'done';
  }

  /** @returns what follows the last chunk and its trailers, empty before that */
  push(bytes: Buffer): Buffer {
    let rest: Buffer = this.#held.length > 0 ? Buffer.concat([this.#held, bytes]) : bytes;
    this.#held = empty;
    while (!this.done) {
      const after = this.#state === 'data' ? this.#takeData(rest) : this.#takeLine(rest);
      if (after === undefined) {
        this.#held = rest;
        return empty;
      }
      rest = after;
    }
    return rest;
  }

  #takeData(bytes: Buffer): Buffer | undefined {
    if (bytes.length === 0) return undefined;
    const taken = bytes.subarray(0, this.#left);
    this.#left -= taken.length;
    if (this.#left === 0) this.#state = 'data-end';
    this.#onData(taken);
    return bytes.subarray(taken.length);
  }

  #takeLine(bytes: Buffer): Buffer | undefined {
    if (this.#state === 'data-end' && bytes.length > 0 && bytes[0] !== 0x0d)
      throw new WireError('chunk longer than its size');
    const end = bytes.indexOf('\r\n');
    if (end === -1) {
      if (bytes.length > maxLineBytes) throw new WireError('chunk line longer than 64 KiB');
      return undefined;
    }
    this.#onLine(bytes.toString('latin1', 0, end));
    return bytes.subarray(end + 2);
  }

  #onLine(line: string): void {
    if (this.#state === 'size') this.#onSize(line);
    else if (this.#state === 'data-end') this.#onDataEnd(line);
    else if (line === '') this.#state = 'done';
    else this.trailers.push(...parseFieldLines([line]));
  }

  #onSize(line: string): void {
    const [, hex] = /^([0-9a-fA-F]{1,12})[ \t]*(?:;[^\r\n]*)?$/.exec(line) ?? [];
    if (hex === undefined) throw new WireError(`not a chunk size: ${JSON.stringify(line.slice(0, 80))}`);
    this.#left = parseInt(hex, 16);
    this.#state = this.#left === 0 ? 'trailers' : 'data';
  }

  #onDataEnd(line: string): void {
    if (line !== '') throw new WireError('chunk longer than its size');
    this.#state = 'size';
  }
}
