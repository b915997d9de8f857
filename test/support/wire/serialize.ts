/** Writes message parts as bytes. Nothing is checked: malformed messages are the point of some callers. */
import { STATUS_CODES } from 'node:http';
import { toPairs, type HeadersInit } from './headers.ts';

export type Bytes = string | Buffer;

/** Strings stand for UTF-8 text in bodies. */
export function bodyBytes(body: Bytes): Buffer {
  return typeof body === 'string' ? Buffer.from(body) : body;
}

/** Start line, fields and the empty line, as latin1. */
export function headBytes(startLine: string, headers: HeadersInit = []): Buffer {
  const fields = toPairs(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${startLine}\r\n${fields.join('')}\r\n`, 'latin1');
}

export function statusLine(status: number, reason = STATUS_CODES[status] ?? ''): string {
  return `HTTP/1.1 ${status} ${reason}`;
}

/** One chunk of the chunked coding. An empty one would end the body, so it is written as nothing. */
export function chunkBytes(body: Bytes): Buffer {
  const data = bodyBytes(body);
  if (data.length === 0) return data;
  return Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]);
}

export function lastChunkBytes(trailers: HeadersInit = []): Buffer {
  return headBytes('0', trailers);
}
