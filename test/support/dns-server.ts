/**
 * A DNS server on 127.0.0.1 that answers from a zone that the test writes, over UDP and TCP on one port. It can fall
 * silent, refuse, cut its answers short, tell only some of its records at a time, die, and come back on the same port.
 */
import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { Conditions } from './conditions.ts';
import type { WaitOptions } from './conditions.ts';

export type ZoneRecord =
  | { readonly type: 'A' | 'AAAA'; readonly address: string }
  | { readonly type: 'CNAME'; readonly target: string }
  | {
      readonly type: 'SRV';
      readonly target: string;
      readonly port: number;
      readonly priority?: number;
      readonly weight?: number;
    };

export interface AskedQuestion {
  readonly name: string;
  /** `A`, `AAAA`, `SRV`, or the number. */
  readonly type: string;
  readonly over: 'udp' | 'tcp';
}

/** How questions are met. `cut`: truncated over UDP, whole over TCP. `cut-everywhere`: nowhere whole. */
export type Manner =
  'answer' | 'silent' | 'servfail' | 'refused' | 'formerr-to-edns' | 'cut' | 'cut-everywhere';

const TYPES = { A: 1, CNAME: 5, AAAA: 28, SRV: 33 } as const;
const CODES = { servfail: 2, refused: 5, nxdomain: 3, formerr: 1 } as const;

export async function startDnsServer(): Promise<DnsServer> {
  // The port may be free for TCP and taken for UDP; then there is another one.
  for (let tries = 1; ; tries++) {
    const server = new DnsServer();
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.stop();
      if (tries === 10) throw error;
    }
  }
}

export class DnsServer implements AsyncDisposable {
  readonly #zone = new Map<
    string,
    { readonly records: readonly ZoneRecord[]; readonly ttlSeconds: number }
  >();
  readonly #conditions = new Conditions();
  readonly #open = new Set<Socket>();
  #sockets: { readonly tcp: Server; readonly udp: UdpSocket } | undefined;
  #turn = 0;
  readonly questions: AskedQuestion[] = [];
  port = 0;
  manner: Manner = 'answer';
  /** How many records an answer has at most, in turns. */
  perAnswer = Number.POSITIVE_INFINITY;
  /** Write SRV targets as pointers where they can be. */
  compressTargets = false;

  /** `127.0.0.1:port`, for `resolver`. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** All records of that name, whatever there was before. None: the name exists, with nothing under it. */
  set(name: string, records: readonly ZoneRecord[], ttlSeconds = 1): void {
    this.#zone.set(name, { records, ttlSeconds });
  }

  /** IPv4 addresses. */
  setAddresses(name: string, addresses: readonly string[], ttlSeconds = 1): void {
    this.set(
      name,
      addresses.map((address) => ({ type: 'A', address })),
      ttlSeconds,
    );
  }

  /** From now on there is no such name. */
  remove(name: string): void {
    this.#zone.delete(name);
  }

  /** Resolves when so many questions of that type have come. */
  waitForQuestions(count: number, type?: string, options?: WaitOptions): Promise<void> {
    const asked = (): number =>
      this.questions.filter((one) => type === undefined || one.type === type).length;
    return this.#conditions.untilTrue(
      () => asked() >= count,
      () => `${count} questions, of which there are ${asked()}`,
      options,
    );
  }

  /** On the same port as before. */
  async start(): Promise<void> {
    const tcp = createServer((socket) => this.#accepted(socket));
    const udp = createSocket('udp4');
    this.#sockets = { tcp, udp };
    await new Promise<void>((resolve, reject) => {
      tcp.once('error', reject);
      tcp.listen(this.port, '127.0.0.1', resolve);
    });
    const { port } = tcp.address() as AddressInfo;
    await new Promise<void>((resolve, reject) => {
      udp.once('error', reject);
      udp.bind(port, '127.0.0.1', resolve);
    });
    this.port = port;
    udp.on('message', (message, from) => {
      const answer = this.#answer(message, 'udp');
      if (answer) udp.send(answer, from.port, from.address);
    });
  }

  async stop(): Promise<void> {
    const sockets = this.#sockets;
    this.#sockets = undefined;
    if (!sockets) return;
    for (const socket of this.#open) socket.destroy();
    const { tcp, udp } = sockets;
    await Promise.all([
      new Promise<void>((resolve) => (tcp.listening ? tcp.close(() => resolve()) : resolve())),
      new Promise<void>((resolve) => udp.close(() => resolve())),
    ]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #accepted(socket: Socket): void {
    this.#open.add(socket);
    socket.on('close', () => this.#open.delete(socket));
    socket.on('error', () => undefined);
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE()) return;
      const answer = this.#answer(received.subarray(2), 'tcp');
      // In two pieces, as TCP may cut anywhere.
      if (answer) for (const piece of [lengthOf(answer), answer]) socket.write(piece);
    });
  }

  #answer(message: Buffer, over: 'udp' | 'tcp'): Buffer | undefined {
    const question = readQuestion(message);
    const type = Object.entries(TYPES).find(([, number]) => number === question.type)?.[0];
    this.questions.push({ name: question.name, type: type ?? String(question.type), over });
    this.#conditions.changed();
    const { manner } = this;
    if (manner === 'silent') return undefined;
    if (manner === 'servfail' || manner === 'refused') return reply(question, { rcode: CODES[manner] });
    if (manner === 'formerr-to-edns' && question.edns) return reply(question, { rcode: CODES.formerr });
    if (manner === 'cut-everywhere' || (manner === 'cut' && over === 'udp'))
      return reply(question, { truncated: true });
    const known = this.#zone.get(question.name);
    if (!known) return reply(question, { rcode: CODES.nxdomain });
    return reply(question, { records: this.#recordsFor(question) });
  }

  #recordsFor({ name, type }: WireQuestion): Buffer[] {
    const { records, ttlSeconds } = this.#zone.get(name) ?? { records: [], ttlSeconds: 0 };
    const alias = records.find((one) => one.type === 'CNAME');
    if (alias) {
      const own = record(name, alias, ttlSeconds, { compress: false });
      return [
        own,
        ...this.#recordsFor({ name: alias.target, type, end: 0, edns: false, bytes: Buffer.alloc(0) }),
      ];
    }
    const fitting = records.filter((one) => TYPES[one.type] === type);
    const compress = this.compressTargets;
    return this.#inTurns(fitting).map((one) => record(name, one, ttlSeconds, { compress, asked: name }));
  }

  #inTurns(records: readonly ZoneRecord[]): readonly ZoneRecord[] {
    if (records.length <= this.perAnswer) return records;
    const from = (this.#turn += this.perAnswer) % records.length;
    return [...records.slice(from), ...records.slice(0, from)].slice(0, this.perAnswer);
  }
}

interface WireQuestion {
  readonly name: string;
  readonly type: number;
  /** Where the question ends in the message. */
  readonly end: number;
  readonly edns: boolean;
  readonly bytes: Buffer;
}

function readQuestion(bytes: Buffer): WireQuestion {
  const labels: string[] = [];
  let at = 12;
  for (let length = bytes[at] ?? 0; length > 0; length = bytes[at] ?? 0) {
    labels.push(bytes.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const end = at + 5;
  return {
    name: labels.join('.'),
    type: bytes.readUInt16BE(at + 1),
    end,
    edns: bytes.readUInt16BE(10) > 0,
    bytes,
  };
}

interface ReplyOptions {
  readonly rcode?: number;
  readonly truncated?: boolean;
  readonly records?: readonly Buffer[];
}

function reply(
  { bytes, end }: WireQuestion,
  { rcode = 0, truncated = false, records = [] }: ReplyOptions,
): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(bytes.readUInt16BE(0), 0);
  head.writeUInt16BE(0x8180 | rcode | (truncated ? 0x0200 : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  return Buffer.concat([head, bytes.subarray(12, end), ...records]);
}

function record(
  owner: string,
  one: ZoneRecord,
  ttlSeconds: number,
  { compress, asked = '' }: { readonly compress: boolean; readonly asked?: string },
): Buffer {
  const data = dataOf(one, compress ? asked : '');
  const head = Buffer.alloc(10);
  head.writeUInt16BE(TYPES[one.type], 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt32BE(ttlSeconds, 4);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([nameOf(owner), head, data]);
}

function dataOf(one: ZoneRecord, asked: string): Buffer {
  switch (one.type) {
    case 'A':
      return Buffer.from(one.address.split('.').map(Number));
    case 'AAAA':
      return ipv6Bytes(one.address);
    case 'CNAME':
      return nameOf(one.target);
    case 'SRV': {
      const numbers = Buffer.alloc(6);
      for (const [i, number] of [one.priority ?? 0, one.weight ?? 0, one.port].entries())
        numbers.writeUInt16BE(number, 2 * i);
      return Buffer.concat([numbers, nameOf(one.target, asked)]);
    }
  }
}

/** @param asked the name in the question, at byte 12: what it ends in as this name does is pointed at */
function nameOf(name: string, asked = ''): Buffer {
  const parts: Buffer[] = [];
  let rest = name;
  while (rest !== '') {
    if (asked !== '' && `.${asked}`.endsWith(`.${rest}`)) {
      const pointer = Buffer.alloc(2);
      pointer.writeUInt16BE(0xc000 | (12 + asked.length - rest.length));
      return Buffer.concat([...parts, pointer]);
    }
    const [label = ''] = rest.split('.');
    parts.push(Buffer.of(label.length), Buffer.from(label, 'latin1'));
    rest = rest.slice(label.length + 1);
  }
  return Buffer.concat([...parts, Buffer.of(0)]);
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => parseInt(group, 16));
  const [front, back] = [groups(head), groups(tail ?? '')];
  const all = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  const bytes = Buffer.alloc(16);
  for (const [i, group] of all.entries()) bytes.writeUInt16BE(group, 2 * i);
  return bytes;
}

function lengthOf(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return length;
}
