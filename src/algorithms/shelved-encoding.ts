/** What a shelf of answers holds, as bytes, for stores that keep nothing else. What cannot be read is not there. */
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import type { Shelved } from '../core/answer-store.ts';
import { decodeAnswer, encodeAnswer } from './answer-encoding.ts';
import { ownBytes } from './own-bytes.ts';

/** "OC" and the version; raised with every change of the layout. */
const MAGIC = [0x4f, 0x43, 1] as const;
/** Magic (3), checksum of all that follows it (4), length of the description (4). */
const PREFIX_BYTES = 11;
const CHECKSUM_AT = 3;
const LENGTH_AT = 7;

const NOTHING = new Uint8Array(0);

/** Layout: prefix, description as JSON, the answer where there is one. */
export function encodeShelved(shelved: Shelved): Uint8Array {
  const description =
    shelved.kind === 'answer'
      ? ['answer', shelved.path, shelved.ageMs, shelved.freshForMs]
      : ['varying', shelved.path, shelved.names];
  const json = Buffer.from(JSON.stringify(description), 'utf8');
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.set(MAGIC);
  prefix.writeUInt32BE(json.length, LENGTH_AT);
  const answer = shelved.kind === 'answer' ? encodeAnswer(shelved.answer) : NOTHING;
  const all = ownBytes([prefix, json, answer]);
  new DataView(all.buffer).setUint32(CHECKSUM_AT, crc32(all.subarray(LENGTH_AT)));
  return all;
}

/** @returns undefined for whatever `encodeShelved` of this version did not write */
export function decodeShelved(bytes: Uint8Array): Shelved | undefined {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (all.length < PREFIX_BYTES || MAGIC.some((byte, at) => all[at] !== byte)) return undefined;
  if (crc32(all.subarray(LENGTH_AT)) !== all.readUInt32BE(CHECKSUM_AT)) return undefined;
  const restAt = PREFIX_BYTES + all.readUInt32BE(LENGTH_AT);
  const description = restAt <= all.length ? parsed(all.toString('utf8', PREFIX_BYTES, restAt)) : undefined;
  return description && shelvedOf(description, all.subarray(restAt));
}

function parsed(json: string): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function shelvedOf([kind, path, ...rest]: readonly unknown[], bytes: Uint8Array): Shelved | undefined {
  if (typeof path !== 'string') return undefined;
  if (kind === 'varying') {
    const [names] = rest;
    return isNames(names) ? { kind, path, names } : undefined;
  }
  const [ageMs, freshForMs] = rest;
  if (kind !== 'answer' || !isTime(ageMs) || !isTime(freshForMs)) return undefined;
  const answer = decodeAnswer(bytes);
  return answer && { kind, path, ageMs, freshForMs, answer };
}

const isTime = (value: unknown): value is number => typeof value === 'number' && value >= 0;

const isNames = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');
