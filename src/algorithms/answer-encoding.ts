/**
 * Stored answers as bytes, for stores that keep nothing else. What cannot be read (another version, cut, corrupt) is no
 * answer: whoever reads it is as well off as if it had never been stored.
 */
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { ownBytes } from './own-bytes.ts';
import type { StoredAnswer } from '../core/stored-answer.ts';

/** "OA" and the version; raised with every change of the layout. */
const MAGIC = [0x4f, 0x41, 1] as const;
/** Magic (3), checksum of all that follows it (4), length of the description (4). */
const PREFIX_BYTES = 11;
const CHECKSUM_AT = 3;
const LENGTH_AT = 7;

/** Status, reason phrase, headers, trailers, lengths of the chunks. */
type Description = readonly [number, string, readonly string[], readonly string[], readonly number[]];

/** Layout: prefix, description as JSON, chunks one after the other. */
export function encodeAnswer({ head, chunks, trailers }: StoredAnswer): Uint8Array {
  const description: Description = [
    head.status,
    head.statusText,
    head.headers,
    trailers,
    chunks.map(({ length }) => length),
  ];
  const json = Buffer.from(JSON.stringify(description), 'utf8');
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.set(MAGIC);
  prefix.writeUInt32BE(json.length, LENGTH_AT);
  const all = ownBytes([prefix, json, ...chunks]);
  new DataView(all.buffer).setUint32(CHECKSUM_AT, crc32(all.subarray(LENGTH_AT)));
  return all;
}

/** @returns undefined for whatever `encodeAnswer` of this version did not write. The chunks are views of `bytes`. */
export function decodeAnswer(bytes: Uint8Array): StoredAnswer | undefined {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (all.length < PREFIX_BYTES || MAGIC.some((byte, at) => all[at] !== byte)) return undefined;
  if (crc32(all.subarray(LENGTH_AT)) !== all.readUInt32BE(CHECKSUM_AT)) return undefined;
  const bodyAt = PREFIX_BYTES + all.readUInt32BE(LENGTH_AT);
  const description = bodyAt <= all.length ? parsed(all.toString('utf8', PREFIX_BYTES, bodyAt)) : undefined;
  if (!description) return undefined;
  const [status, statusText, headers, trailers, lengths] = description;
  const chunks = cut(all.subarray(bodyAt), lengths);
  return chunks && { head: { status, statusText, headers }, chunks, trailers };
}

function parsed(json: string): Description | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return isDescription(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The checksum guards against accidents; this, against what somebody else has written. */
function isDescription(value: unknown): value is Description {
  if (!Array.isArray(value) || value.length !== 5) return false;
  const [status, statusText, headers, trailers, lengths] = value as readonly unknown[];
  const isStatus = Number.isInteger(status) && (status as number) >= 200 && (status as number) <= 999;
  return (
    isStatus &&
    typeof statusText === 'string' &&
    isFields(headers) &&
    isFields(trailers) &&
    isLengths(lengths)
  );
}

const isFields = (value: unknown): boolean =>
  Array.isArray(value) && value.length % 2 === 0 && value.every((one) => typeof one === 'string');

const isLengths = (value: unknown): boolean =>
  Array.isArray(value) && value.every((one) => Number.isSafeInteger(one) && (one as number) >= 0);

function cut(body: Buffer, lengths: readonly number[]): Uint8Array[] | undefined {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (const length of lengths) {
    chunks.push(body.subarray(at, at + length));
    at += length;
  }
  return at === body.length ? chunks : undefined;
}
