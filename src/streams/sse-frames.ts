/**
 * Follows the frames of an event stream (HTML standard, "server-sent events") in whatever pieces it arrives. It copies
 * nothing that it does not need and keeps at most one unfinished frame. Bytes are handled as one character each.
 */
import { Buffer } from 'node:buffer';

/** @param data lines of data joined by line feeds; bytes as characters */
export type OnEvent = (event: string, data: string, id: string | undefined) => void;

/** Of a frame that is larger than `MAX_FRAME`, so much is kept and read: its name stands at its start. */
const KEPT_OF_LARGE = 64 * 1024;
const MAX_FRAME = 4 * 1024 * 1024;

const LF = 10;
const SPACE = 32;
/** `data:` */
const DATA = [100, 97, 116, 97, 58] as const;

/** A chunk that begins with data and ends with an empty line: by far the most chunks of model APIs are one such frame. */
const isDataToItsEnd = (bytes: Buffer): boolean =>
  bytes.length > 7 &&
  bytes[bytes.length - 1] === LF &&
  bytes[bytes.length - 2] === LF &&
  DATA.every((code, at) => bytes[at] === code);

const BOM = '\xef\xbb\xbf';

export class SseFrames {
  readonly #onEvent: OnEvent;
  /** What came of the frame that is not finished, piece by piece: to join them with every piece would take quadratic time. */
  #parts: string[] = [];
  #size = 0;
  /** The last piece ends with a line feed: the empty line may begin there. */
  #endsWithLf = false;
  /** The frame is too large: what follows its beginning is let go. */
  #truncated = false;
  #endedWithCr = false;
  #started = false;

  constructor(onEvent: OnEvent) {
    this.#onEvent = onEvent;
  }

  /** Something of an unfinished frame has passed: what is written now would become a part of it. */
  get midFrame(): boolean {
    return this.#parts.length > 0;
  }

  push(chunk: Uint8Array): void {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    if (this.#started && this.#parts.length === 0 && isDataToItsEnd(bytes)) {
      const data = bytes.toString('latin1', bytes[5] === SPACE ? 6 : 5, bytes.length - 2);
      if (!data.includes('\n') && !data.includes('\r')) {
        this.#endedWithCr = false;
        this.#onEvent('', data, undefined);
        return;
      }
    }
    this.#read(bytes.toString('latin1'));
  }

  #read(raw: string): void {
    const text = this.#normalised(raw);
    if (text === '') return;
    if (this.#parts.length === 0) this.#readFrom(text, 0);
    else if (this.#endsWithLf && text.startsWith('\n')) {
      this.#finish('', this.#truncated ? 0 : 1);
      this.#readFrom(text, 1);
    } else {
      const end = text.indexOf('\n\n');
      if (end < 0) this.#keep(text);
      else {
        this.#finish(text.slice(0, end), 0);
        this.#readFrom(text, end + 2);
      }
    }
  }

  /** Reads what begins between two frames. */
  #readFrom(text: string, from: number): void {
    let start = from;
    for (;;) {
      const end = text.indexOf('\n\n', start);
      if (end < 0) break;
      if (end > start) this.#frame(text.slice(start, end));
      start = end + 2;
    }
    // Further empty lines between frames belong to none.
    while (text[start] === '\n') start += 1;
    if (start < text.length) this.#keep(start === 0 ? text : text.slice(start));
  }

  /** @param cut characters at the end of what is kept that belong to the empty line */
  #finish(rest: string, cut: number): void {
    const all = this.#parts.join('') + rest;
    this.#parts = [];
    this.#size = 0;
    this.#frame(cut === 0 ? all : all.slice(0, -cut));
  }

  /** All three line ends as line feeds. A carriage return at the end counts at once; a line feed after it is dropped. */
  #normalised(raw: string): string {
    let text = raw;
    if (this.#endedWithCr && text.startsWith('\n')) text = text.slice(1);
    if (raw !== '') this.#endedWithCr = raw.endsWith('\r');
    return text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
  }

  #keep(text: string): void {
    this.#endsWithLf = text.endsWith('\n');
    if (this.#truncated) return;
    this.#parts.push(text);
    this.#size += text.length;
    if (this.#size <= MAX_FRAME) return;
    this.#truncated = true;
    this.#parts = [this.#parts.join('').slice(0, KEPT_OF_LARGE)];
  }

  #frame(text: string): void {
    this.#truncated = false;
    let frame = text;
    if (!this.#started) {
      this.#started = true;
      if (frame.startsWith(BOM)) frame = frame.slice(BOM.length);
    }
    if (frame.startsWith('data:') && !frame.includes('\n')) {
      this.#onEvent('', frame.slice(frame[5] === ' ' ? 6 : 5), undefined);
      return;
    }
    this.#fields(frame);
  }

  #fields(frame: string): void {
    let event = '';
    let data: string | undefined;
    let id: string | undefined;
    for (const line of frame.split('\n')) {
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
      if (name === 'data') data = data === undefined ? value : `${data}\n${value}`;
      else if (name === 'event') event = value;
      else if (name === 'id') id = value;
    }
    // Without data nothing is dispatched.
    if (data !== undefined) this.#onEvent(event, data, id);
  }
}
