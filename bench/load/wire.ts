/**
 * Reads HTTP/1.1 messages off a socket, counting bodies instead of keeping them. Both ends of the bench use it, because
 * they share a core and a full HTTP implementation there would be the bottleneck.
 */

export interface MessageEvents {
  onHead(head: string): void;
  /** Some bytes of the body, framing excluded. */
  onBody(bytes: number): void;
  onEnd(): void;
}

type State = 'head' | 'length' | 'chunk-size' | 'chunk-data' | 'trailer' | 'until-close';

const LF = 10;
const CRLF_BYTES = 2;
const HEAD_END = '\r\n\r\n';

export class MessageReader {
  readonly #kind: 'request' | 'response';
  readonly #events: MessageEvents;
  #state: State = 'head';
  #head: Buffer | undefined;
  /** Bytes of body (of chunk and its line end) still to come. */
  #remaining = 0;
  #line = '';

  constructor(kind: 'request' | 'response', events: MessageEvents) {
    this.#kind = kind;
    this.#events = events;
  }

  feed(data: Buffer): void {
    let at = 0;
    while (at < data.length) at = this.#step(data, at);
  }

  /** The peer closed. @returns whether that is a proper place to stop */
  eof(): boolean {
    if (this.#state === 'until-close') this.#finish();
    return this.#state === 'head' && this.#head === undefined;
  }

  #step(data: Buffer, at: number): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(data, at);
      case 'length':
      case 'until-close':
        return this.#readBody(data, at);
      case 'chunk-data':
        return this.#readChunk(data, at);
      case 'chunk-size':
      case 'trailer':
        return this.#readLine(data, at);
    }
  }

  #readHead(data: Buffer, at: number): number {
    const before = this.#head?.length ?? 0;
    const all = this.#head ? Buffer.concat([this.#head, data.subarray(at)]) : data.subarray(at);
    const end = all.indexOf(HEAD_END);
    if (end < 0) {
      this.#head = all;
      return data.length;
    }
    this.#head = undefined;
    this.#startBody(all.toString('latin1', 0, end + CRLF_BYTES));
    return at + end + HEAD_END.length - before;
  }

  #startBody(head: string): void {
    this.#events.onHead(head);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (/\r\ntransfer-encoding: *chunked/i.test(head)) this.#state = 'chunk-size';
    else if (length === undefined && this.#kind === 'response') this.#state = 'until-close';
    else this.#expect('length', Number(length ?? 0));
    if (this.#state === 'length' && this.#remaining === 0) this.#finish();
  }

  #expect(state: State, bytes: number): void {
    this.#state = state;
    this.#remaining = bytes;
  }

  #readBody(data: Buffer, at: number): number {
    const available = data.length - at;
    const bytes = this.#state === 'length' ? Math.min(this.#remaining, available) : available;
    this.#events.onBody(bytes);
    this.#remaining -= bytes;
    if (this.#state === 'length' && this.#remaining === 0) this.#finish();
    return at + bytes;
  }

  #readChunk(data: Buffer, at: number): number {
    const bytes = Math.min(this.#remaining, data.length - at);
    const body = Math.min(bytes, Math.max(0, this.#remaining - CRLF_BYTES));
    this.#remaining -= bytes;
    if (this.#remaining === 0) this.#state = 'chunk-size';
    if (body > 0) this.#events.onBody(body);
    return at + bytes;
  }

  #readLine(data: Buffer, at: number): number {
    const end = data.indexOf(LF, at);
    this.#line += data.toString('latin1', at, end < 0 ? data.length : end);
    if (end < 0) return data.length;
    const line = this.#line.trim();
    this.#line = '';
    if (this.#state === 'chunk-size') this.#startChunk(Number.parseInt(line, 16));
    else if (line === '') this.#finish();
    return end + 1;
  }

  #startChunk(bytes: number): void {
    if (bytes === 0) this.#state = 'trailer';
    else this.#expect('chunk-data', bytes + CRLF_BYTES);
  }

  #finish(): void {
    this.#state = 'head';
    this.#events.onEnd();
  }
}

/** The status of a response head; 0 when it is none. */
export function statusOf(head: string): number {
  return Number(/^HTTP\/1\.\d (\d{3})/.exec(head)?.[1] ?? 0);
}
