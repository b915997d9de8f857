/** Streams are followed byte by byte, one character each, which is cheap and exact; what people read is UTF-8. */
import { Buffer } from 'node:buffer';

/** The text behind bytes that were read as one character each. */
export const utf8Text = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8');

/** The JSON value behind such bytes; undefined when they are none. */
export function jsonOf(latin1: string): unknown {
  try {
    return JSON.parse(utf8Text(latin1));
  } catch {
    return undefined;
  }
}
