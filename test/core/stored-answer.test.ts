import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAnswer, encodeAnswer } from '../../src/algorithms/answer-encoding.ts';
import { Cancellation } from '../../src/core/cancellation.ts';
import type { Completion } from '../../src/core/outcome.ts';
import { ReplayBody, bodyBytesOf } from '../../src/core/stored-answer.ts';
import type { StoredAnswer } from '../../src/core/stored-answer.ts';
import { read } from '../streams/shared-rig.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

const ANSWER: StoredAnswer = {
  head: { status: 201, statusText: 'Created', headers: ['X-A', '1', 'x-a', 'Größe \u00ff'] },
  chunks: [bytes('data: 1\n\n'), bytes('data: 2\n\n')],
  trailers: ['x-t', 'end'],
};

describe('ReplayBody', () => {
  it('brings the chunks as they were stored, then the trailers', () => {
    const body = new ReplayBody(ANSWER);
    const ends: Completion[] = [];
    body.onEnd((completion) => ends.push(completion));
    const sink = read(body);
    expect(sink.chunks.map(String)).toEqual(['data: 1\n\n', 'data: 2\n\n']);
    expect([sink.trailers, ends]).toEqual([['x-t', 'end'], [{ end: 'complete', bytes: 18 }]]);
    expect(bodyBytesOf(ANSWER)).toBe(18);
  });

  it('waits for a reader that is full', () => {
    const sink = read(new ReplayBody(ANSWER), true);
    expect([sink.chunks.length, sink.ends]).toEqual([1, 0]);
    sink.takeOne();
    expect([sink.chunks.length, sink.ends]).toEqual([2, 1]);
  });

  it('ends with the one who reads it', () => {
    const cancellation = new Cancellation();
    const sink = read(new ReplayBody(ANSWER, cancellation), true);
    cancellation.cancel('client-aborted');
    expect(sink.aborted).toEqual({ end: 'client-aborted', reason: 'client_aborted', bytes: 9 });
    sink.drain();
    expect(sink.ends).toBe(1);
  });

  it('has broken off for one that takes it after having left', () => {
    const cancellation = new Cancellation();
    const body = new ReplayBody(ANSWER, cancellation);
    cancellation.cancel('deadline');
    const sink = read(body);
    expect([sink.text, sink.ends, sink.aborted?.end]).toEqual(['', 1, 'timed-out']);
  });

  it('leaves nothing behind when it is through or not wanted', () => {
    const cancellation = new Cancellation();
    read(new ReplayBody(ANSWER, cancellation));
    const unwanted = new ReplayBody(ANSWER, cancellation);
    unwanted.discard();
    const ends: Completion[] = [];
    unwanted.onEnd((completion) => ends.push(completion));
    expect([ends, cancellation.listenerCount]).toEqual([[{ end: 'discarded', bytes: 0 }], 0]);
  });

  it('has nothing to deliver where the body is empty', () => {
    expect(read(new ReplayBody({ ...ANSWER, chunks: [] })).ends).toBe(1);
  });
});

describe('the encoding of answers', () => {
  const field = fc.string({ unit: 'binary', maxLength: 20 });
  const fields = fc.array(fc.tuple(field, field), { maxLength: 5 }).map((pairs) => pairs.flat());
  const answer: fc.Arbitrary<StoredAnswer> = fc.record({
    head: fc.record({ status: fc.integer({ min: 200, max: 999 }), statusText: field, headers: fields }),
    chunks: fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 }),
    trailers: fields,
  });
  const plain = ({ head, chunks, trailers }: StoredAnswer): unknown => [
    head,
    chunks.map((chunk) => Buffer.from(chunk).toString('hex')),
    trailers,
  ];

  it('brings back what was stored, boundaries of chunks included', () => {
    fc.assert(
      fc.property(answer, (one) => {
        const decoded = decodeAnswer(encodeAnswer(one));
        expect(decoded && plain(decoded)).toEqual(plain(one));
      }),
    );
  });

  it('takes whatever is cut, changed or not its own for nothing', () => {
    fc.assert(
      fc.property(answer, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, at, flip) => {
        const good = encodeAnswer(one);
        const changed = Uint8Array.from(good);
        changed[at % good.length] = (good[at % good.length] as number) ^ flip;
        expect(decodeAnswer(changed)).toBeUndefined();
        expect(decodeAnswer(good.subarray(0, at % good.length))).toBeUndefined();
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (any) => decodeAnswer(any) === undefined));
    const newer = Uint8Array.from(encodeAnswer(ANSWER));
    newer[2] = 9;
    expect(decodeAnswer(newer)).toBeUndefined();
  });
});
