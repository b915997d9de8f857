import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameEdges } from '../../src/streams/frame-edges.ts';

/** What had passed, in one string, whenever a frame ended. */
function framesOf(chunks: readonly string[]): string[] {
  const edges = new FrameEdges();
  const frames: string[] = [];
  let held = '';
  for (const chunk of chunks) {
    const edge = edges.push(Buffer.from(chunk, 'latin1'));
    if (edge < 0) held += chunk;
    else {
      frames.push(held + chunk.slice(0, edge));
      held = chunk.slice(edge);
    }
  }
  return [...frames, held];
}

describe('where frames end', () => {
  it.each(['\n', '\r\n', '\r'])('is behind an empty line, whatever ends a line (%j)', (end) => {
    const stream = `id: 1${end}data: a${end}${end}data: b${end}`;
    expect(framesOf([stream])).toEqual([`id: 1${end}data: a${end}${end}`, `data: b${end}`]);
  });

  it('is found in single bytes, and a line feed that comes late belongs to its frame', () => {
    const stream = 'data: a\r\n\r\ndata: b';
    const passed = framesOf([...stream]);
    expect(passed.at(-1)).toBe('data: b');
    expect(passed.slice(0, -1).join('')).toBe('data: a\r\n\r\n');
  });

  it('does not depend on how the stream is cut', () => {
    const part = fc.constantFrom('data: x', 'id: 1', ': c', '\n', '\r\n', '\n\n', '\r\n\r\n');
    fc.assert(
      fc.property(fc.array(part), fc.array(fc.nat(40)), (parts, cuts) => {
        const stream = parts.join('');
        const places = [...new Set(cuts.filter((at) => at < stream.length))].sort((a, b) => a - b);
        const chunks = [...places, stream.length].map((at, n) => stream.slice(places[n - 1] ?? 0, at));
        const [whole, pieces] = [framesOf([stream]), framesOf(chunks)];
        expect(pieces.join('')).toBe(stream);
        // A carriage return at a cut ends its frame; the line feed after it may stand with the next.
        expect(pieces.at(-1)!.replace(/^\n/, '')).toBe(whole.at(-1)!.replace(/^\n/, ''));
      }),
    );
  });
});
