import { expect, it } from 'vitest';
import { encodeAnswer } from '../../src/algorithms/answer-encoding.ts';
import { ownBytes } from '../../src/algorithms/own-bytes.ts';
import { encodeShelved } from '../../src/algorithms/shelved-encoding.ts';

it('bytes of their own are the parts, one after the other, in memory that nothing else has', () => {
  const all = ownBytes([Buffer.from('ab'), new Uint8Array(0), Buffer.from('c')]);
  expect(Buffer.from(all).toString()).toBe('abc');
  expect(all.buffer.byteLength).toBe(3);
  expect(ownBytes([]).buffer.byteLength).toBe(0);
});

it('what is stored of an answer keeps no more in memory than it is counted for', () => {
  const head = { status: 200, statusText: 'OK', headers: [] };
  const answer = { head, chunks: [Buffer.from('small')], trailers: [] };
  const shelved = { kind: 'answer', path: '/', ageMs: 0, freshForMs: 1, answer } as const;
  for (const bytes of [encodeAnswer(answer), encodeShelved(shelved)])
    expect(bytes.buffer.byteLength).toBe(bytes.length);
});
