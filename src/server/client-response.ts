/**
 * Writes one outcome to one client. Small answers leave in a single write; a body that breaks off leaves a connection
 * that is visibly broken, never a message that looks whole.
 */
import type { ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { HeaderList } from '../core/header-list.ts';
import { hasHeader } from '../core/header-list.ts';
import type { BodySink, Completion, ResponseBody, ResponseHead } from '../core/outcome.ts';

const EMPTY = Buffer.alloc(0);

/** Sends head and body. `res` must be untouched. */
export function sendResponse(res: ServerResponse, head: ResponseHead, body: ResponseBody): void {
  const sink = new ResponseSink(res, head, body);
  body.pipe(sink);
  sink.flush();
}

/** Sends an answer whose body is already here. */
export function sendBytes(res: ServerResponse, head: ResponseHead, bytes: Uint8Array): void {
  res.writeHead(head.status, head.statusText || STATUS_CODES[head.status] || '', [...head.headers]);
  res.end(bytes);
}

class ResponseSink implements BodySink {
  readonly #res: ServerResponse;
  readonly #head: ResponseHead;
  readonly #body: ResponseBody;
  /** The first chunk waits for the end of `pipe`: most answers are whole by then. */
  #first: Uint8Array | undefined;
  #flushed = false;
  #over = false;
  #listening = false;

  constructor(res: ServerResponse, head: ResponseHead, body: ResponseBody) {
    this.#res = res;
    this.#head = head;
    this.#body = body;
    res.writeHead(head.status, head.statusText, head.headers as string[]);
  }

  write(chunk: Uint8Array): boolean {
    if (!this.#flushed) {
      if (!this.#first) {
        this.#first = chunk;
        return true;
      }
      this.#flushFirst();
    }
    return this.#writeNow(chunk);
  }

  end(trailers: HeaderList): void {
    this.#over = true;
    if (trailers.length > 0 && this.#res.chunkedEncoding) this.#res.addTrailers(pairs(trailers));
    if (this.#first && !this.#flushed) this.#res.end(this.#first);
    else this.#res.end();
  }

  abort(_completion: Completion): void {
    this.#over = true;
    if (this.#first && !this.#flushed) this.#flushFirst();
    breakOff(this.#res, !this.#res.chunkedEncoding && !hasHeader(this.#head.headers, 'content-length'));
  }

  /** Sends the head although no body byte may have come yet. */
  flush(): void {
    if (this.#flushed || this.#over) return;
    if (this.#first) this.#flushFirst();
    // An empty write sends the head as it is; flushHeaders() would re-encode bytes above 0x7f.
    else {
      this.#flushed = true;
      this.#res.write(EMPTY);
    }
  }

  #flushFirst(): void {
    this.#flushed = true;
    const first = this.#first;
    this.#first = undefined;
    if (first) this.#writeNow(first);
  }

  #writeNow(chunk: Uint8Array): boolean {
    if (this.#res.write(chunk)) return true;
    if (!this.#listening) {
      this.#listening = true;
      this.#res.on('drain', () => this.#body.resume());
    }
    return false;
  }
}

/** A client that does not read what was already written has this long before its connection is cut. */
const LAST_BYTES_MS = 5_000;

/**
 * Ends the connection so that the client cannot take what it has for the whole.
 * @param closeEndsBody only the close of the connection ends such a body, so a plain close would look like its end
 */
function breakOff(res: ServerResponse, closeEndsBody: boolean): void {
  const socket = res.socket as Socket | null;
  if (!socket) return;
  if (closeEndsBody) socket.resetAndDestroy();
  else {
    socket.setTimeout(LAST_BYTES_MS, () => socket.destroy());
    socket.destroySoon();
  }
}

const pairs = (headers: HeaderList): [string, string][] => {
  const list: [string, string][] = [];
  for (let i = 0; i < headers.length; i += 2) list.push([headers[i] as string, headers[i + 1] as string]);
  return list;
};

/** What every answer says about its exchange, whoever made it. */
export function withExchangeHeaders(headers: HeaderList, extra: HeaderList): HeaderList {
  // An upstream that is an Outrigger itself has said so already; the nearest hop's word is the client's.
  const clean = hasHeader(headers, 'x-outrigger-attempts') ? withoutOurs(headers) : headers;
  return [...clean, ...extra];
}

function withoutOurs(headers: HeaderList): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (!name.toLowerCase().startsWith('x-outrigger-')) kept.push(name, headers[i + 1] as string);
  }
  return kept;
}
