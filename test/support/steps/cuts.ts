/** Connections that end too early: in order (FIN) or broken (RST), at every place of an answer. */
import type { RequestStep } from '../upstream/step.ts';
import type { UpstreamExchange } from '../upstream/upstream-exchange.ts';
import { bodyBytes, chunkBytes, headBytes, statusLine, type Bytes } from '../wire/serialize.ts';

export type CutBy = 'fin' | 'reset';

/** FIN after the request, no answer. */
export function closeBeforeResponse(): RequestStep {
  return { name: 'closeBeforeResponse', startsAt: 'body', run: (exchange) => exchange.finish() };
}

/** RST after the request, no answer. */
export function resetBeforeResponse(): RequestStep {
  return { name: 'resetBeforeResponse', startsAt: 'body', run: (exchange) => exchange.reset() };
}

/** RST as soon as the head is read, while the client is still uploading. */
export function resetMidUpload(): RequestStep {
  return { name: 'resetMidUpload', startsAt: 'head', run: (exchange) => exchange.reset() };
}

/** Part of a status line, then the cut. */
export function closeMidStatusLine(by: CutBy = 'fin'): RequestStep {
  return writeThenCut('closeMidStatusLine', 'HTTP/1.1 2', by);
}

/** A status line and half a header, then the cut. */
export function closeMidHead(by: CutBy = 'fin'): RequestStep {
  return writeThenCut('closeMidHead', 'HTTP/1.1 200 OK\r\ncontent-type: text/pl', by);
}

export interface CutBody {
  /** How the body is delimited. Default `length`. */
  readonly framing?: 'length' | 'chunked' | 'close';
  /** Default `fin`. */
  readonly by?: CutBy;
  /** What arrives before the cut, as one complete chunk when chunked. Default `partial`. */
  readonly sent?: Bytes;
  /** Default `text/plain`. */
  readonly contentType?: string;
}

/** A 200 whose body is cut. With `close` framing only the RST shows that anything is missing. */
export function cutMidBody({
  framing = 'length',
  by = 'fin',
  sent = 'partial',
  contentType = 'text/plain',
}: CutBody = {}): RequestStep {
  const data = bodyBytes(sent);
  const framingHeader = {
    length: { 'content-length': String(data.length + 100) },
    chunked: { 'transfer-encoding': 'chunked' },
    close: {},
  }[framing];
  const head = headBytes(statusLine(200), { 'content-type': contentType, ...framingHeader });
  const body = framing === 'chunked' ? chunkBytes(data) : data;
  return writeThenCut(`cutMidBody (${framing}, ${by})`, Buffer.concat([head, body]), by);
}

/** `cutMidBody` by RST. */
export function resetMidBody(cut: Omit<CutBody, 'by'> = {}): RequestStep {
  return cutMidBody({ ...cut, by: 'reset' });
}

/** FIN in the middle of a chunk's data. */
export function cutMidChunk(by: CutBy = 'fin'): RequestStep {
  const head = headBytes(statusLine(200), { 'transfer-encoding': 'chunked' });
  return writeThenCut('cutMidChunk', Buffer.concat([head, Buffer.from('64\r\npartial')]), by);
}

function writeThenCut(name: string, bytes: string | Buffer, by: CutBy): RequestStep {
  return {
    name,
    startsAt: 'body',
    run: async (exchange: UpstreamExchange) => {
      await exchange.write(bytes);
      if (by === 'fin') exchange.finish();
      else exchange.reset();
    },
  };
}
