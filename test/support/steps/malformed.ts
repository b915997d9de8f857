/** Answers that break HTTP/1.1. All are sent after the complete request, and the connection stays open. */
import type { RequestStep } from '../upstream/step.ts';
import { headBytes, statusLine } from '../wire/serialize.ts';
import { respondRaw } from './answers.ts';

const ok = 'HTTP/1.1 200 OK\r\n';
const chunkedField = 'transfer-encoding: chunked\r\n';
const chunkedHello = '5\r\nhello\r\n0\r\n\r\n';

/** Content-Length and Transfer-Encoding in one head, with a chunked body. */
export function bothLengths(): RequestStep {
  return malformed('bothLengths', `${ok}content-length: 5\r\n${chunkedField}\r\n${chunkedHello}`);
}

/** Two Content-Lengths that disagree. */
export function twoLengths(): RequestStep {
  return malformed('twoLengths', `${ok}content-length: 5\r\nContent-Length: 6\r\n\r\nhello!`);
}

/** A Content-Length that is no number. */
export function badLength(value = '+5'): RequestStep {
  return malformed('badLength', `${ok}content-length: ${value}\r\n\r\nhello`);
}

/** One good chunk, then one whose size is not hexadecimal. */
export function badChunk(): RequestStep {
  return malformed(
    'badChunk',
    `${ok}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\nworld\r\n0\r\n\r\n`,
  );
}

/** A chunk extension of `bytes` bytes that does not end. */
export function endlessChunkExtension(bytes: number): RequestStep {
  return malformed('endlessChunkExtension', `${ok}transfer-encoding: chunked\r\n\r\n5;${'x'.repeat(bytes)}`);
}

/** A transfer coding other than `chunked`; the body is chunked all the same. Default `xchunked`. */
export function unknownCoding(value = 'xchunked'): RequestStep {
  return malformed(`unknownCoding ${value}`, `${ok}transfer-encoding: ${value}\r\n\r\n${chunkedHello}`);
}

/** Transfer-Encoding twice, with a chunked body. */
export function twoCodings(): RequestStep {
  return malformed('twoCodings', `${ok}${chunkedField}Transfer-Encoding: chunked\r\n\r\n${chunkedHello}`);
}

/** Transfer-Encoding under HTTP/1.0, which has none. */
export function codingOnHttp10(): RequestStep {
  return malformed('codingOnHttp10', `HTTP/1.0 200 OK\r\n${chunkedField}\r\n${chunkedHello}`);
}

/** A version that this connection does not speak. */
export function wrongVersion(): RequestStep {
  return malformed('wrongVersion', 'HTTP/2.0 200 OK\r\ncontent-length: 5\r\n\r\nhello');
}

export function statusBelow100(): RequestStep {
  return malformed('statusBelow100', 'HTTP/1.1 099 Odd\r\ncontent-length: 5\r\n\r\nhello');
}

/** Lines that end in LF alone. */
export function bareLfHead(): RequestStep {
  return malformed('bareLfHead', 'HTTP/1.1 200 OK\ncontent-length: 5\n\nhello');
}

export function nulInHeader(): RequestStep {
  return malformed('nulInHeader', `${ok}x-nul: a\0b\r\ncontent-length: 0\r\n\r\n`);
}

/** A bare CR inside a header value. */
export function bareCrInHeader(): RequestStep {
  return malformed('bareCrInHeader', `${ok}x-cr: a\rb: c\r\ncontent-length: 0\r\n\r\n`);
}

/** A header value continued on the next line. */
export function obsFold(): RequestStep {
  return malformed('obsFold', `${ok}x-folded: one\r\n two\r\ncontent-length: 0\r\n\r\n`);
}

export function spaceBeforeColon(): RequestStep {
  return malformed('spaceBeforeColon', `${ok}x-spaced : value\r\ncontent-length: 0\r\n\r\n`);
}

/** One header value of `bytes` bytes. */
export function hugeHeaders(bytes: number): RequestStep {
  return malformed(
    'hugeHeaders',
    headBytes(statusLine(200), { 'x-huge': 'x'.repeat(bytes), 'content-length': '0' }),
  );
}

/** `count` small headers. */
export function manyHeaders(count: number): RequestStep {
  const many = Array.from({ length: count }, (_, index) => [`x-${index}`, 'v'] as const);
  return malformed('manyHeaders', headBytes(statusLine(200), [...many, ['content-length', '0']]));
}

/** A protocol switch nobody asked for. */
export function unasked101(): RequestStep {
  return malformed('unasked101', headBytes(statusLine(101), { connection: 'upgrade', upgrade: 'websocket' }));
}

/** `100 Continue` without `Expect`, then a correct 200. */
export function unasked100(): RequestStep {
  return malformed('unasked100', `${statusLine(100)}\r\n\r\n${ok}content-length: 2\r\n\r\nok`);
}

/** A body of 5 announced bytes, and more bytes behind it that look like another answer. */
export function tooLongBody(): RequestStep {
  return malformed(
    'tooLongBody',
    `${ok}content-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison`,
  );
}

/** Not HTTP at all. */
export function garbage(): RequestStep {
  return malformed('garbage', '220 smtp.example ESMTP ready\r\n');
}

function malformed(name: string, bytes: string | Buffer): RequestStep {
  return { ...respondRaw(bytes), name };
}
