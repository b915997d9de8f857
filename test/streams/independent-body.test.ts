import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { NO_BODY } from '../../src/core/request-bodies.ts';
import { independentBody } from '../../src/streams/independent-body.ts';

it('a large body goes out piece by piece, as often as it is wanted', async () => {
  const bytes = Buffer.alloc(300 * 1_024, 'abc');
  const body = independentBody(bytes);
  expect([body.length, body.replayable, body.peek()]).toEqual([bytes.length, true, bytes]);
  for (let i = 0; i < 2; i++) {
    const stream = body.open();
    if (!(stream instanceof Readable)) throw new Error('expected a stream');
    const pieces: number[] = [];
    stream.on('data', (piece: Buffer) => pieces.push(piece.length));
    expect((await buffer(stream)).equals(bytes)).toBe(true);
    expect(Math.max(...pieces)).toBeLessThanOrEqual(64 * 1_024);
  }
});

it('a small one goes out at once, and none stays none', () => {
  const bytes = Buffer.from('small');
  expect([independentBody(bytes).open(), independentBody(null)]).toEqual([bytes, NO_BODY]);
});
