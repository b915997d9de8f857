/**
 * Questions to a DNS server and its answers, as bytes: what discovery needs of them and no more. Node's own resolver gives
 * no TTL for SRV records, and the one in Node 24.21 (c-ares 1.34.8) refuses SRV answers whose target is compressed.
 * @see RFC 1035 §4, RFC 2782 (SRV), RFC 3596 (AAAA), RFC 6891 (EDNS)
 */
export const RECORD_TYPES = { A: 1, AAAA: 28, SRV: 33 } as const;

export type RecordType = keyof typeof RECORD_TYPES;

export interface Question {
  /** In full, without the last dot. */
  readonly name: string;
  readonly type: RecordType;
}

export type DnsRecord = AddressRecord | SrvRecord;

export interface AddressRecord {
  readonly type: 'A' | 'AAAA';
  readonly address: string;
  /** Of the record and of all aliases on the way to it. */
  readonly ttlSeconds: number;
}

export interface SrvRecord {
  readonly type: 'SRV';
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** In lower case, without the last dot; empty: there is decidedly no such service. */
  readonly target: string;
  readonly ttlSeconds: number;
}

export interface DnsAnswer {
  readonly truncated: boolean;
  /** 0: fine; 3: there is no such name. */
  readonly rcode: number;
  /** Only those of the question's type, under its name or what that is an alias of. */
  readonly records: readonly DnsRecord[];
}

export const RCODE = { ok: 0, formatError: 1, noSuchName: 3 } as const;

/** Bytes that are not an answer. */
export class MalformedAnswer extends Error {}

const CNAME = 5;
const OPT = 41;
const INTERNET = 1;
const HEADER_BYTES = 12;
/** A longer name does not exist. */
const MAX_NAME_BYTES = 255;
/** A name has at most 127 labels: more pointers than that only cost time. */
const MAX_POINTERS = 127;
/** Passes every network without being cut into pieces. */
const UDP_PAYLOAD_BYTES = 1_232;
const RECURSION_DESIRED = 0x0100;

/**
 * @param edns say that answers may be longer than 512 bytes, which very old servers do not understand
 * @throws RangeError where the name is none
 */
export function encodeQuestion(id: number, { name, type }: Question, edns: boolean): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(RECURSION_DESIRED, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(edns ? 1 : 0, 10);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(RECORD_TYPES[type], 0);
  tail.writeUInt16BE(INTERNET, 2);
  return Buffer.concat([header, encodeName(name), tail, edns ? ednsRecord() : Buffer.alloc(0)]);
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from(label, 'latin1'));
  if (labels.some(({ length }) => length === 0 || length > 63)) throw new RangeError(`${name} is no name`);
  const parts = labels.flatMap((label) => [Buffer.of(label.length), label]);
  const bytes = Buffer.concat([...parts, Buffer.of(0)]);
  if (bytes.length > MAX_NAME_BYTES) throw new RangeError(`${name} is too long`);
  return bytes;
}

function ednsRecord(): Buffer {
  const record = Buffer.alloc(11);
  record.writeUInt16BE(OPT, 1);
  record.writeUInt16BE(UDP_PAYLOAD_BYTES, 3);
  return record;
}

/**
 * @returns undefined where it answers something else: another question, or one that was asked before
 * @throws MalformedAnswer
 */
export function decodeAnswer(bytes: Buffer, id: number, question: Question): DnsAnswer | undefined {
  const reader = new Reader(bytes);
  const [gotId, flags, questions, answers] = [reader.u16(), reader.u16(), reader.u16(), reader.u16()];
  reader.skip(4);
  const isAnswer = (flags & 0x8000) !== 0;
  const rcode = flags & 0xf;
  if (gotId !== id || !isAnswer) return undefined;
  // Who does not understand a question need not repeat it.
  if (questions === 0 && rcode !== RCODE.ok) return { truncated: false, rcode, records: [] };
  if (questions !== 1 || !repeats(reader, question)) return undefined;
  const truncated = (flags & 0x0200) !== 0;
  // Where it was cut, nothing behind the head can be relied on, and it will be asked again.
  const records = truncated ? [] : pertinent(readRecords(reader, answers), question);
  return { truncated, rcode, records };
}

function repeats(reader: Reader, { name, type }: Question): boolean {
  const [gotName, gotType, gotClass] = [reader.name(), reader.u16(), reader.u16()];
  return gotName === name.toLowerCase() && gotType === RECORD_TYPES[type] && gotClass === INTERNET;
}

interface Owned {
  readonly owner: string;
  readonly record:
    DnsRecord | { readonly type: 'CNAME'; readonly target: string; readonly ttlSeconds: number };
}

function readRecords(reader: Reader, count: number): Owned[] {
  const found: Owned[] = [];
  for (let i = 0; i < count; i++) {
    const owner = reader.name();
    const [type, recordClass, ttlSeconds] = [reader.u16(), reader.u16(), reader.ttl()];
    const end = reader.u16() + reader.at;
    const record = recordClass === INTERNET ? readRecord(reader, type, ttlSeconds) : undefined;
    if (record) found.push({ owner, record });
    if (record && reader.at !== end) throw new MalformedAnswer('a record is longer or shorter than it says');
    reader.moveTo(end);
  }
  return found;
}

function readRecord(reader: Reader, type: number, ttlSeconds: number): Owned['record'] | undefined {
  switch (type) {
    case RECORD_TYPES.A:
      return { type: 'A', address: reader.bytes(4).join('.'), ttlSeconds };
    case RECORD_TYPES.AAAA:
      return { type: 'AAAA', address: ipv6Of(reader.bytes(16)), ttlSeconds };
    case RECORD_TYPES.SRV: {
      const [priority, weight, port] = [reader.u16(), reader.u16(), reader.u16()];
      return { type: 'SRV', priority, weight, port, target: reader.name(), ttlSeconds };
    }
    case CNAME:
      return { type: 'CNAME', target: reader.name(), ttlSeconds };
    default:
      return undefined;
  }
}

/** As URLs write it, so that the same address has one name. */
function ipv6Of(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** Those under the name that was asked for, or under one that it is an alias of, in whatever order they came. */
function pertinent(all: readonly Owned[], { name, type }: Question): DnsRecord[] {
  let owner = name.toLowerCase();
  let ttlSeconds = Number.POSITIVE_INFINITY;
  const passed = new Set<string>();
  for (;;) {
    passed.add(owner);
    const alias = all.find((one) => one.owner === owner && one.record.type === 'CNAME')?.record;
    if (alias?.type !== 'CNAME' || passed.has(alias.target)) break;
    ttlSeconds = Math.min(ttlSeconds, alias.ttlSeconds);
    owner = alias.target;
  }
  return all.flatMap(({ owner: of, record }) => {
    if (of !== owner || record.type === 'CNAME' || record.type !== type) return [];
    return [{ ...record, ttlSeconds: Math.min(ttlSeconds, record.ttlSeconds) }];
  });
}

class Reader {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u16(): number {
    return this.bytes(2).readUInt16BE();
  }

  /** Values with the highest bit set count as 0 (RFC 2181 §8). */
  ttl(): number {
    const seconds = this.bytes(4).readUInt32BE();
    return seconds > 0x7fff_ffff ? 0 : seconds;
  }

  bytes(count: number): Buffer {
    if (this.at + count > this.#bytes.length) throw new MalformedAnswer('it ends too early');
    this.at += count;
    return this.#bytes.subarray(this.at - count, this.at);
  }

  skip(count: number): void {
    this.bytes(count);
  }

  moveTo(at: number): void {
    if (at < this.at || at > this.#bytes.length) throw new MalformedAnswer('a record ends outside of it');
    this.at = at;
  }

  /** In lower case and without the last dot. A pointer leads further back each time, so that none leads in a circle. */
  name(): string {
    const labels: string[] = [];
    let [total, pointers, resumeAt, limit] = [1, 0, -1, this.at];
    for (;;) {
      const length = this.bytes(1).readUInt8();
      if (length === 0) break;
      if (length >= 0xc0) {
        const to = ((length & 0x3f) << 8) | this.bytes(1).readUInt8();
        if (to >= limit) throw new MalformedAnswer('a name points forwards');
        if (++pointers > MAX_POINTERS) throw new MalformedAnswer('a name is in too many pieces');
        if (resumeAt < 0) resumeAt = this.at;
        [this.at, limit] = [to, to];
        continue;
      }
      total += length + 1;
      if (length > 63 || total > MAX_NAME_BYTES) throw new MalformedAnswer('a name is too long');
      labels.push(labelOf(this.bytes(length)));
    }
    if (resumeAt >= 0) this.at = resumeAt;
    return labels.join('.');
  }
}

/** What no host is called is written in a way that no host is called, so that dots inside a label stay apart. */
function labelOf(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, (char) => `\\${String(char.charCodeAt(0)).padStart(3, '0')}`);
}
