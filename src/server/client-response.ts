/**
 * Writes one outcome to one client. Small answers leave in a single write; a body that breaks off leaves a connection
 * that is visibly broken, never a message that looks whole.
 */
import type { ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { HeaderList } from '../core/header-list.ts';
import { hasHeader, withoutHeaders } from '../core/header-list.ts';
import type { BodySink, Completion, ResponseBody, ResponseHead } from '../core/outcome.ts';
import { reset } from './tcp-below.ts';

const EMPTY = Buffer.alloc(0);

/** Sends head and body. `res` must be untouched. */
export function sendResponse(res: ServerResponse, head: ResponseHead, body: ResponseBody): void {
  const sink = new ResponseSink(res, head, body);
  body.pipe(sink);
  sink.flush();
}

/** HTTP/2 upstreams and answers of our own have none. */
const reasonPhrase = (head: ResponseHead): string => head.statusText || STATUS_CODES[head.status] || '';

/** Sends an answer whose body is already here. */
export function sendBytes(res: ServerResponse, head: ResponseHead, bytes: Uint8Array): void {
  res.writeHead(head.status, reasonPhrase(head), [...head.headers]);
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
    res.writeHead(head.status, reasonPhrase(head), sendableHeaders(res, head) as string[]);
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
    // What came is the client's, even where that is the head alone.
    this.flush();
    this.#over = true;
    breakOff(this.#res, !this.#res.chunkedEncoding && !hasHeader(this.#head.headers, 'content-length'));
  }

  /** Sends the head although no body byte may have come yet. */
  flush(): void {
    if (this.#flushed || this.#over) return;
    this.#flushFirst();
  }

  #flushFirst(): void {
    this.#flushed = true;
    // An empty write sends the head as it is; flushHeaders() would re-encode bytes above 0x7f.
    const first = this.#first ?? EMPTY;
    this.#first = undefined;
    this.#writeNow(first);
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
  const { socket } = res;
  if (socket) breakConnection(socket, closeEndsBody);
  // A pipelined answer gets its connection, and sends what it has, when the one before is through.
  else if (!res.destroyed)
    res.once('socket', (its: Socket) => queueMicrotask(() => breakConnection(its, closeEndsBody)));
}

function breakConnection(socket: Socket, closeEndsBody: boolean): void {
  if (closeEndsBody) {
    reset(socket);
    return;
  }
  socket.setTimeout(LAST_BYTES_MS, () => socket.destroy());
  socket.destroySoon();
}

/** The head's fields without what cannot be said on this connection: Node throws on a Trailer field that has no chunks. */
function sendableHeaders(res: ServerResponse, { status, headers }: ResponseHead): HeaderList {
  if (!hasHeader(headers, 'trailer')) return headers;
  const { method, httpVersionMinor } = res.req;
  const bodiless = method === 'HEAD' || status === 204 || status === 304;
  const chunked = httpVersionMinor > 0 && !bodiless && !hasHeader(headers, 'content-length');
  return chunked ? headers : withoutHeaders(headers, TRAILER);
}

const TRAILER: ReadonlySet<string> = new Set(['trailer']);

const pairs = (headers: HeaderList): [string, string][] => {
  const list: [string, string][] = [];
  for (let i = 0; i < headers.length; i += 2) list.push([headers[i] as string, headers[i + 1] as string]);
  return list;
};

/** What every answer says about its exchange, whoever made it. */
export function withExchangeHeaders(headers: HeaderList, extra: HeaderList): HeaderList {
  // An upstream that is an Outrigger itself has said so already; the nearest hop's word is the client's.
  const clean = hasHeader(headers, 'x-outrigger-request-id') ? withoutOurs(headers) : headers;
  // Whoever owns the retries says whether there should be more.
  const rest = hasHeader(extra, RETRY_HINT) ? withoutHeaders(clean, new Set([RETRY_HINT])) : clean;
  return [...rest, ...extra];
}

const RETRY_HINT = 'x-should-retry';

/** The farther hop's code stays: it is why this answer is what it is. */
function withoutOurs(headers: HeaderList): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = (headers[i] as string).toLowerCase();
    if (name === 'x-outrigger-code' || !name.startsWith('x-outrigger-'))
      kept.push(headers[i] as string, headers[i + 1] as string);
  }
  return kept;
}
