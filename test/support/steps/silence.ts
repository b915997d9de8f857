/** Answers that come late, slowly, or never. */
import type { RequestStep } from '../upstream/step.ts';
import { toPairs, type HeadersInit } from '../wire/headers.ts';
import { chunkBytes, headBytes, lastChunkBytes, statusLine, type Bytes } from '../wire/serialize.ts';

/** Reads the request and never answers. */
export function stall(): RequestStep {
  return { name: 'stall', startsAt: 'body', run: (exchange) => exchange.gone };
}

/** Reads the head, then neither reads nor answers: the upload backs up. */
export function stallUpload(): RequestStep {
  return {
    name: 'stallUpload',
    startsAt: 'head',
    run: (exchange) => {
      exchange.stopReading();
      return exchange.gone;
    },
  };
}

export interface HeadOnly {
  /** Default 200. */
  readonly status?: number;
  /** In addition to the framing. */
  readonly headers?: HeadersInit;
}

/** Sends the head of a chunked answer, then `chunks` if any, then nothing more. */
export function stallAfterHead(head: HeadOnly = {}, chunks: readonly Bytes[] = []): RequestStep {
  return {
    name: 'stallAfterHead',
    startsAt: 'body',
    run: async (exchange) => {
      await exchange.write(Buffer.concat([chunkedHead(head), ...chunks.map(chunkBytes)]));
      await exchange.gone;
    },
  };
}

export interface Trickle extends HeadOnly {
  /** One write and one HTTP chunk each. */
  readonly chunks: readonly Bytes[];
  /** Pause before each chunk and before the end. */
  readonly everyMs: number;
}

/** Sends the head at once and a chunk now and then, to a proper end. */
export function trickle({ chunks, everyMs, ...head }: Trickle): RequestStep {
  return {
    name: 'trickle',
    startsAt: 'body',
    run: async (exchange) => {
      await exchange.write(chunkedHead(head));
      for (const chunk of chunks) {
        await exchange.sleep(everyMs);
        await exchange.write(chunkBytes(chunk));
      }
      await exchange.sleep(everyMs);
      await exchange.write(lastChunkBytes());
    },
  };
}

/** A correct answer whose head comes byte by byte. 2 ms and the default head make about a tenth of a second. */
export function drippedHead(dripped: HeadOnly & { readonly everyMs: number }): RequestStep {
  const { status = 200, headers = [], everyMs } = dripped;
  const head = headBytes(statusLine(status), [...toPairs(headers), ['content-length', '0']]);
  return {
    name: 'drippedHead',
    startsAt: 'body',
    run: async (exchange) => {
      for (const byte of head) {
        if (!exchange.writable) return;
        await exchange.write(Buffer.from([byte]));
        await exchange.sleep(everyMs);
      }
    },
  };
}

/** `102 Processing` again and again, never a final answer. */
export function endless1xx({ everyMs }: { readonly everyMs: number }): RequestStep {
  return {
    name: 'endless1xx',
    startsAt: 'body',
    run: async (exchange) => {
      while (exchange.writable) {
        await exchange.write(headBytes(statusLine(102)));
        await exchange.sleep(everyMs);
      }
    },
  };
}

function chunkedHead({ status = 200, headers = [] }: HeadOnly): Buffer {
  return headBytes(statusLine(status), [...toPairs(headers), ['transfer-encoding', 'chunked']]);
}
