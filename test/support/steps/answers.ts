/** Well-formed answers. */
import { gzipSync } from 'node:zlib';
import type { RecordedRequest } from '../upstream/recorded-request.ts';
import type { RequestStep } from '../upstream/step.ts';
import type { UpstreamExchange } from '../upstream/upstream-exchange.ts';
import { headerValues, toPairs, type HeaderPairs, type HeadersInit } from '../wire/headers.ts';
import {
  bodyBytes,
  chunkBytes,
  headBytes,
  lastChunkBytes,
  statusLine,
  type Bytes,
} from '../wire/serialize.ts';

export interface Answer {
  /** Default 200. */
  readonly status?: number;
  /** Reason phrase. Default: the usual one. */
  readonly reason?: string;
  /** Sent as given. A framing header is added unless one is here already. */
  readonly headers?: HeadersInit;
  /** Strings are UTF-8. A list is sent one chunk each with chunked coding. Default empty. */
  readonly body?: Bytes | readonly Bytes[];
  /** Default `length`. `close`: the end of the connection ends the body. */
  readonly framing?: 'length' | 'chunked' | 'close';
  /** Sent after the body; needs `chunked`. */
  readonly trailers?: HeadersInit;
  /** What happens to the connection right after. Default `keep`, unless the framing is `close`. */
  readonly afterwards?: 'keep' | 'fin' | 'reset';
}

/** Answers once the request is complete. */
export function respond(answer: Answer = {}): RequestStep {
  return { name: 'respond', startsAt: 'body', run: (exchange) => writeAnswer(exchange, answer) };
}

/** Answers depending on the complete request. */
export function respondWith(answerTo: (request: RecordedRequest) => Answer): RequestStep {
  return {
    name: 'respondWith',
    startsAt: 'body',
    run: (exchange) => writeAnswer(exchange, answerTo(exchange.request)),
  };
}

/** Answers with a JSON document. */
export function respondJson(value: unknown, answer: Omit<Answer, 'body'> = {}): RequestStep {
  const headers = [['content-type', 'application/json'], ...toPairs(answer.headers ?? [])] as const;
  return respond({ ...answer, headers, body: JSON.stringify(value) });
}

/** Writes these very bytes (strings are latin1) and leaves the connection open. */
export function respondRaw(bytes: string | Buffer): RequestStep {
  return {
    name: 'respondRaw',
    startsAt: 'body',
    run: async (exchange) => {
      await exchange.write(bytes);
    },
  };
}

export function redirect(location: string, status = 302): RequestStep {
  return respond({ status, headers: { location } });
}

/** Interim answers first, all at once, then `then`. */
export function informational(
  interim: readonly { readonly status: number; readonly headers?: HeadersInit }[],
  then: RequestStep,
): RequestStep {
  return {
    name: `informational, ${then.name}`,
    startsAt: then.startsAt,
    run: async (exchange) => {
      await exchange.write(
        Buffer.concat(interim.map((one) => headBytes(statusLine(one.status), one.headers))),
      );
      await then.run(exchange);
    },
  };
}

/**
 * Answers when the head is there, whatever becomes of the body.
 * @param then `drain`: reads the rest and keeps the connection; `fin`, `reset`: closes; `stop-reading`: takes no more bytes
 */
export function earlyAnswer(
  answer: Answer,
  then: 'drain' | 'fin' | 'reset' | 'stop-reading' = 'drain',
): RequestStep {
  return {
    name: 'earlyAnswer',
    startsAt: 'head',
    run: async (exchange) => {
      await writeAnswer(exchange, answer);
      if (then === 'fin') exchange.finish();
      if (then === 'reset') exchange.reset();
      if (then === 'stop-reading') exchange.stopReading();
    },
  };
}

/** A body of `bytes` bytes, written as fast as the reader takes it; `request.answeredBytes` tells how much that is. */
export function flood(bytes: number, chunkBytes = 64 * 1024): RequestStep {
  const block = Buffer.alloc(chunkBytes, 'x');
  return {
    name: 'flood',
    startsAt: 'body',
    run: async (exchange) => {
      await exchange.write(headBytes(statusLine(200), { 'content-length': String(bytes) }));
      for (let left = bytes; left > 0 && exchange.writable; left -= block.length) {
        await exchange.write(block.subarray(0, Math.min(left, block.length)));
      }
    },
  };
}

/** A small gzip body that decodes to `decodedBytes` zero bytes. */
export function gzipBomb(decodedBytes: number): RequestStep {
  const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
  return respond({ headers, body: gzipSync(Buffer.alloc(decodedBytes)) });
}

/** The bytes of an answer as `respond` sends them, without the connection's fate. */
export function answerBytes(answer: Answer, method = 'GET'): Buffer {
  const status = answer.status ?? 200;
  const head = headBytes(statusLine(status, answer.reason), framedHeaders(answer, status));
  const bodyless = method === 'HEAD' || status === 204 || status === 304;
  return bodyless ? head : Buffer.concat([head, framedBody(answer)]);
}

async function writeAnswer(exchange: UpstreamExchange, answer: Answer): Promise<void> {
  await exchange.write(answerBytes(answer, exchange.request.method));
  const afterwards = answer.afterwards ?? (answer.framing === 'close' ? 'fin' : 'keep');
  if (afterwards === 'fin') exchange.finish();
  if (afterwards === 'reset') exchange.reset();
}

function framedHeaders(answer: Answer, status: number): HeaderPairs {
  const headers = toPairs(answer.headers ?? []);
  const framed = ['content-length', 'transfer-encoding'].some(
    (name) => headerValues(headers, name).length > 0,
  );
  if (framed || answer.framing === 'close' || status === 204 || status === 304) return headers;
  if (answer.framing === 'chunked') return [...headers, ['transfer-encoding', 'chunked']];
  return [...headers, ['content-length', String(Buffer.concat(pieces(answer)).length)]];
}

function framedBody(answer: Answer): Buffer {
  if (answer.framing !== 'chunked') return Buffer.concat(pieces(answer));
  return Buffer.concat([...pieces(answer).map(chunkBytes), lastChunkBytes(answer.trailers)]);
}

function pieces(answer: Answer): Buffer[] {
  const body = answer.body ?? '';
  const list: readonly Bytes[] = typeof body === 'string' || Buffer.isBuffer(body) ? [body] : body;
  return list.map(bodyBytes);
}
