/** Cuts one message head off the front of a byte stream. */
import { parseFieldLines, WireError } from './headers.ts';

export interface Head {
  /** Request or status line, latin1, without its line end. */
  readonly startLine: string;
  readonly rawHeaders: [string, string][];
}

const maxHeadBytes = 1024 * 1024;

/**
 * @returns the head and what follows it; `undefined` while the head is incomplete
 * @throws WireError for bare CR or LF, malformed fields, or more than 1 MiB
 */
export function takeHead(bytes: Buffer): { head: Head; rest: Buffer } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) {
    if (bytes.length > maxHeadBytes) throw new WireError('head longer than 1 MiB');
    return undefined;
  }
  const lines = bytes.toString('latin1', 0, end).split('\r\n');
  if (lines.some((line) => /[\r\n]/.test(line))) throw new WireError('bare CR or LF in the head');
  const [startLine = '', ...fields] = lines;
  return { head: { startLine, rawHeaders: parseFieldLines(fields) }, rest: bytes.subarray(end + 4) };
}

export interface RequestLine {
  readonly method: string;
  /** The request target's bytes as latin1, untouched. */
  readonly target: string;
  readonly version: '1.0' | '1.1';
}

export function parseRequestLine(line: string): RequestLine {
  const [, method, target, version] = /^([^\s]+) ([^\s]+) HTTP\/(1\.[01])$/.exec(line) ?? [];
  if (method === undefined || target === undefined)
    throw new WireError(`not a request line: ${JSON.stringify(line)}`);
  return { method, target, version: version === '1.0' ? '1.0' : '1.1' };
}

export interface StatusLine {
  readonly version: string;
  readonly status: number;
  readonly reason: string;
}

export function parseStatusLine(line: string): StatusLine {
  const [, version, status, reason] = /^HTTP\/(1\.[01]) ([1-9]\d\d)(?: (.*))?$/.exec(line) ?? [];
  if (version === undefined || status === undefined)
    throw new WireError(`not a status line: ${JSON.stringify(line)}`);
  return { version, status: Number(status), reason: reason ?? '' };
}
