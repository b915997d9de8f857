import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MalformedAnswer, decodeAnswer, encodeQuestion } from '../../../src/discovery/dns/message.ts';
import type { Question } from '../../../src/discovery/dns/message.ts';

const u16 = (...numbers: readonly number[]): number[] => numbers.flatMap((one) => [one >> 8, one & 0xff]);
const labels = (name: string): number[] => [
  ...name.split('.').flatMap((label) => [label.length, ...Buffer.from(label, 'latin1')]),
  0,
];
const pointer = (at: number): number[] => u16(0xc000 | at);

const ID = 0x1234;
const SRV: Question = { name: '_http._tcp.agents.test', type: 'SRV' };
const A: Question = { name: 'agents.test', type: 'A' };

/** An answer to `question` with those records. */
function answerTo({ name, type }: Question, records: readonly (readonly number[])[], flags = 0x8180): Buffer {
  const number = { A: 1, AAAA: 28, SRV: 33 }[type];
  return Buffer.from([
    ...u16(ID, flags, 1, records.length, 0, 0),
    ...[...labels(name), ...u16(number, 1)],
    ...records.flat(),
  ]);
}

const record = (owner: readonly number[], type: number, ttl: number, data: readonly number[]): number[] => [
  ...owner,
  ...u16(type, 1, ttl >>> 16, ttl & 0xffff, data.length),
  ...data,
];

describe('questions to a DNS server', () => {
  it('ask for recursion, for one name, and offer longer answers where they may', () => {
    const bytes = encodeQuestion(ID, A, true);
    expect([...bytes.subarray(0, 12)]).toEqual(u16(ID, 0x0100, 1, 0, 0, 1));
    expect([...bytes.subarray(12, 29)]).toEqual([...labels('agents.test'), ...u16(1, 1)]);
    expect([...bytes.subarray(29)]).toEqual([0, ...u16(41, 1232, 0, 0, 0)]);
    expect(encodeQuestion(ID, A, false)).toHaveLength(29);
  });

  it('are not written for what is no name', () => {
    for (const name of ['', 'a..b', 'x'.repeat(64), `${'abc.'.repeat(70)}test`])
      expect(() => encodeQuestion(ID, { name, type: 'A' }, false)).toThrow(RangeError);
  });
});

describe('answers of a DNS server', () => {
  it('give addresses with their time to live', () => {
    const bytes = answerTo(A, [
      record(pointer(12), 1, 30, [10, 0, 0, 1]),
      record(pointer(12), 1, 60, [10, 0, 0, 2]),
    ]);
    expect(decodeAnswer(bytes, ID, A)?.records).toEqual([
      { type: 'A', address: '10.0.0.1', ttlSeconds: 30 },
      { type: 'A', address: '10.0.0.2', ttlSeconds: 60 },
    ]);
  });

  it('write the same IPv6 address always the same way', () => {
    const question: Question = { name: 'agents.test', type: 'AAAA' };
    const bytes = answerTo(question, [
      record(pointer(12), 28, 5, [0x20, 1, 0x0d, 0xb8, ...new Array<number>(11).fill(0), 1]),
    ]);
    expect(decodeAnswer(bytes, ID, question)?.records).toMatchObject([{ address: '2001:db8::1' }]);
  });

  it('give SRV records, also where the target is compressed', () => {
    const plain = record(pointer(12), 33, 7, [...u16(1, 5, 8080), ...labels('A.Agents.test')]);
    const compressed = record(pointer(12), 33, 7, [...u16(2, 0, 8081), 1, 0x62, ...pointer(23)]);
    expect(decodeAnswer(answerTo(SRV, [plain, compressed]), ID, SRV)?.records).toEqual([
      { type: 'SRV', priority: 1, weight: 5, port: 8080, target: 'a.agents.test', ttlSeconds: 7 },
      { type: 'SRV', priority: 2, weight: 0, port: 8081, target: 'b.agents.test', ttlSeconds: 7 },
    ]);
  });

  it('follow aliases in whatever order they come, and live as long as the shortest of them', () => {
    const bytes = answerTo(A, [
      record(labels('c.test'), 1, 300, [10, 0, 0, 9]),
      record(labels('b.test'), 5, 20, labels('c.test')),
      record(pointer(12), 5, 100, labels('b.test')),
    ]);
    expect(decodeAnswer(bytes, ID, A)?.records).toEqual([{ type: 'A', address: '10.0.0.9', ttlSeconds: 20 }]);
  });

  it('leave out records of other names, types and classes', () => {
    const chaos = record(pointer(12), 1, 30, [10, 0, 0, 3]);
    chaos[5] = 3;
    const bytes = answerTo(A, [
      record(labels('evil.test'), 1, 30, [6, 6, 6, 6]),
      record(pointer(12), 16, 30, [3, 1, 2, 3]),
      chaos,
    ]);
    expect(decodeAnswer(bytes, ID, A)?.records).toEqual([]);
  });

  it('do not lead round in circles', () => {
    const alias = record(pointer(12), 5, 9, labels('b.test'));
    const back = record(labels('b.test'), 5, 9, labels('agents.test'));
    expect(decodeAnswer(answerTo(A, [alias, back]), ID, A)?.records).toEqual([]);
    const self = record(pointer(29), 1, 30, [10, 0, 0, 1]);
    expect(() => decodeAnswer(answerTo(A, [self]), ID, A)).toThrow(MalformedAnswer);
  });

  it('are not read where a name is in more pieces than a name can have', () => {
    const inPieces = (pieces: number): Buffer => {
      const chain = Array.from({ length: pieces }, (_, n) => pointer(n === 0 ? 12 : 38 + 2 * n));
      const text = record([0], 16, 1, chain.flat());
      return answerTo(A, [text, record(pointer(38 + 2 * pieces), 1, 30, [10, 0, 0, 1])]);
    };
    expect(decodeAnswer(inPieces(100), ID, A)?.records).toHaveLength(1);
    expect(() => decodeAnswer(inPieces(200), ID, A)).toThrow('too many pieces');
  });

  it('are told from those to other questions', () => {
    const bytes = answerTo(A, []);
    expect(decodeAnswer(bytes, ID + 1, A)).toBeUndefined();
    expect(decodeAnswer(bytes, ID, { name: 'other.test', type: 'A' })).toBeUndefined();
    expect(decodeAnswer(bytes, ID, { ...A, type: 'AAAA' })).toBeUndefined();
    expect(decodeAnswer(answerTo(A, [], 0x0100), ID, A)).toBeUndefined();
  });

  it('say that they were cut, and what is wrong', () => {
    expect(decodeAnswer(answerTo(A, [], 0x8380), ID, A)).toMatchObject({ truncated: true });
    expect(decodeAnswer(answerTo(A, [], 0x8183), ID, A)).toMatchObject({ rcode: 3 });
    const unrepeated = Buffer.from(u16(ID, 0x8181, 0, 0, 0, 0));
    expect(decodeAnswer(unrepeated, ID, A)).toMatchObject({ rcode: 1 });
  });

  it('count a time to live with the highest bit as none', () => {
    const bytes = answerTo(A, [record(pointer(12), 1, 0x8000_0001, [10, 0, 0, 1])]);
    expect(decodeAnswer(bytes, ID, A)?.records).toMatchObject([{ ttlSeconds: 0 }]);
  });

  it('end in a malformed answer wherever they are cut, and never in anything worse', () => {
    const bytes = answerTo(SRV, [record(pointer(12), 33, 7, [...u16(1, 5, 80), ...labels('a.test')])]);
    for (let end = 0; end < bytes.length; end++)
      expect(() => decodeAnswer(bytes.subarray(0, end), ID, SRV)).toThrow(MalformedAnswer);
  });

  it('can hold any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
        const head = answerTo(A, []).subarray(0, 29);
        head.writeUInt16BE(3, 6);
        try {
          decodeAnswer(Buffer.concat([head, noise]), ID, A);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedAnswer);
        }
      }),
    );
  });
});
