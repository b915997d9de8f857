import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8Text } from '../../src/algorithms/utf8-text.ts';
import { SseFrames } from '../../src/streams/sse-frames.ts';
import { STREAMS } from '../support/openai-fixtures.ts';
import { splitEvents } from '../support/sse.ts';

type Seen = readonly [event: string, data: string, id: string | undefined];

function read(...chunks: readonly (string | Uint8Array)[]): { seen: Seen[]; frames: SseFrames } {
  const seen: Seen[] = [];
  const frames = new SseFrames((event, data, id) => seen.push([event, utf8Text(data), id]));
  for (const chunk of chunks) frames.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
  return { seen, frames };
}

const eventsIn = (...chunks: readonly (string | Uint8Array)[]): Seen[] => read(...chunks).seen;

describe('SseFrames', () => {
  it.each<[string, string, readonly Seen[]]>([
    ['one line of data', 'data: a\n\n', [['', 'a', undefined]]],
    ['no space after the colon', 'data:a\n\n', [['', 'a', undefined]]],
    ['two spaces, of which one belongs to the data', 'data:  a\n\n', [['', ' a', undefined]]],
    ['several lines of data', 'data: a\ndata: b\ndata:\n\n', [['', 'a\nb\n', undefined]]],
    ['a name and an identifier', 'event: e\nid: 7\ndata: a\n\n', [['e', 'a', '7']]],
    ['fields in any order', 'data: a\nevent: e\n\n', [['e', 'a', undefined]]],
    ['data without a colon', 'data\n\n', [['', '', undefined]]],
    ['a comment alone', ': OPENROUTER PROCESSING\n\n', []],
    ['a comment within an event', ': c\ndata: a\n: d\n\n', [['', 'a', undefined]]],
    ['a name without data', 'event: ping\n\n', []],
    ['unknown fields', 'foo: bar\nretry: 5\ndata: a\nbaz\n\n', [['', 'a', undefined]]],
    ['a byte order mark', '\ufeffdata: a\n\n', [['', 'a', undefined]]],
    ['a byte order mark before a comment', '\ufeff: c\n\ndata: a\n\n', [['', 'a', undefined]]],
    [
      'empty lines without end',
      '\n\n\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n',
      [
        ['', 'a', undefined],
        ['', 'b', undefined],
      ],
    ],
    ['CRLF', 'event: e\r\ndata: a\r\n\r\n', [['e', 'a', undefined]]],
    [
      'CR alone',
      'event: e\rdata: a\r\rdata: b\r\r',
      [
        ['e', 'a', undefined],
        ['', 'b', undefined],
      ],
    ],
    [
      'line ends of all kinds',
      'data: a\r\n\ndata: b\n\r\ndata: c\r\r\n',
      [
        ['', 'a', undefined],
        ['', 'b', undefined],
        ['', 'c', undefined],
      ],
    ],
    ['letters beyond ASCII', 'data: é 🙂 漢\n\n', [['', 'é 🙂 漢', undefined]]],
    ['an event that does not end', 'data: a\n\ndata: b\n', [['', 'a', undefined]]],
  ])('reads %s, in one piece and cut at every byte', (_, text, expected) => {
    const bytes = Buffer.from(text);
    expect(eventsIn(bytes)).toEqual(expected);
    expect(eventsIn(...[...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(expected);
    for (let at = 0; at <= bytes.length; at++)
      expect(eventsIn(bytes.subarray(0, at), bytes.subarray(at))).toEqual(expected);
  });

  it('reads the same in whatever pieces a stream comes, and says when it is within a frame', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(STREAMS)),
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 30 }),
        (text, sizes) => {
          const bytes = Buffer.from(text);
          const seen: string[] = [];
          const frames = new SseFrames((_, data) => seen.push(utf8Text(data)));
          for (let at = 0, n = 0; at < bytes.length; n++) {
            const size = sizes[n % sizes.length] ?? 1;
            frames.push(bytes.subarray(at, at + size));
            at += size;
            const passed = bytes
              .subarray(0, at)
              .toString('latin1')
              .replaceAll('\r\n', '\n')
              .replace(/\r$/, '\n');
            expect(frames.midFrame).toBe(!passed.endsWith('\n\n'));
          }
          const expected = splitEvents(text).events.map(({ data }) => data);
          expect(seen).toEqual(expected.filter((data) => data !== ''));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is within a frame from its first byte to its empty line', () => {
    const { frames } = read('data: a\n\n');
    expect(frames.midFrame).toBe(false);
    for (const [piece, within] of [
      ['d', true],
      ['ata: b', true],
      ['\n', true],
      ['\n', false],
      ['\n\n', false],
      [':', true],
      ['\r\n\r', false],
      ['\n', false],
    ] as const) {
      frames.push(Buffer.from(piece));
      expect(frames.midFrame, JSON.stringify(piece)).toBe(within);
    }
  });

  it('ignores empty pieces', () => {
    expect(eventsIn('data: a\r', '', '\n', '', '\r\n')).toEqual([['', 'a', undefined]]);
  });

  it('lets go of the middle of a frame that is too large, and reads the next one', () => {
    const big = 'x'.repeat(1024 * 1024);
    const { seen, frames } = read('event: huge\ndata: ', big, big, big, big, big, big);
    expect(seen).toEqual([]);
    expect(frames.midFrame).toBe(true);
    frames.push(Buffer.from(`${big}\n`));
    frames.push(Buffer.from('\ndata: next\n\n'));
    expect(seen.map(([event]) => event)).toEqual(['huge', '']);
    expect(seen[0]?.[1].length).toBeLessThan(5 * 1024 * 1024);
    expect(seen[1]?.[1]).toBe('next');
  });

  it('keeps no memory of what was read', () => {
    const seen: string[] = [];
    const frames = new SseFrames((_, data) => seen.push(data));
    for (let n = 0; n < 1_000; n++) frames.push(Buffer.from(`data: ${n}\n\n`));
    expect(seen).toHaveLength(1_000);
    expect(frames.midFrame).toBe(false);
  });
});
