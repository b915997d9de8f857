/**
 * A healthy stream is the same with and without the sidecar: every byte, in whatever pieces it comes, also where it is
 * compressed, and each piece is at the client before the upstream sends the next.
 */
import fc from 'fast-check';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { request } from '../support/raw-client.ts';
import { STREAMS } from '../support/openai-fixtures.ts';
import type { StreamName } from '../support/openai-fixtures.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { STREAM_NAMES, targetOf, throughGate } from './gate-rig.ts';
import { stage } from './stage.ts';
import type { Stage } from './stage.ts';

const TYPE = { 'content-type': 'text/event-stream' };
const SETTINGS = { api: 'preset: azure-openai' };

let on: Stage;
let step: RequestStep;
beforeAll(async () => {
  on = await stage(() => step, SETTINGS);
});
afterAll(() => on[Symbol.asyncDispose]());

const post = (name: StreamName) => ({ method: 'POST', path: targetOf(name), body: '{"stream":true}' });

async function bothWays(name: StreamName, answer: RequestStep): Promise<[through: Buffer, direct: Buffer]> {
  step = answer;
  const through = await (await on.send(post(name))).bytes();
  return [through, await (await request(on.upstream.port, post(name))).bytes()];
}

function pieces(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const all: Buffer[] = [];
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = sizes[n % sizes.length] ?? 1;
    all.push(bytes.subarray(at, at + size));
    at += size;
  }
  return all;
}

describe('the bytes are the same', () => {
  it.each(STREAM_NAMES)('%s, in process, cut in two at every byte', async (name) => {
    const bytes = Buffer.from(STREAMS[name]);
    for (let at = 1; at < bytes.length; at++) {
      const halves = [bytes.subarray(0, at), bytes.subarray(at)];
      const output = await throughGate(targetOf(name), TYPE['content-type'], halves, 'clean');
      const out = output.kind === 'bytes' ? Buffer.concat(output.sink.chunks) : Buffer.alloc(0);
      if (!out.equals(bytes)) throw new Error(`byte ${at}: ${out.toString()}`);
    }
  });

  it('on real sockets, in whatever pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...STREAM_NAMES),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 }),
        async (name, sizes) => {
          const body = pieces(Buffer.from(STREAMS[name]), sizes);
          const answer = respond({ framing: 'chunked', headers: TYPE, body });
          const [through, direct] = await bothWays(name, answer);
          expect(through.equals(direct)).toBe(true);
          expect(through.toString()).toBe(STREAMS[name]);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('where the upstream insists on a content coding', async () => {
    for (const name of STREAM_NAMES) {
      const coded = gzipSync(STREAMS[name]);
      const headers = { ...TYPE, 'content-encoding': 'gzip' };
      const answer = respond({ framing: 'chunked', headers, body: pieces(coded, [50, 1, 90]) });
      const [through, direct] = await bothWays(name, answer);
      expect(through.equals(direct)).toBe(true);
      expect(through.equals(coded)).toBe(true);
    }
  });

  it('where its length was announced', async () => {
    const [through, direct] = await bothWays('chat', respond({ headers: TYPE, body: STREAMS.chat }));
    expect(through.equals(direct)).toBe(true);
  });
});

describe('nothing is delayed', () => {
  it.each(STREAM_NAMES)(
    '%s: from the first word on, each piece is there before the next is sent',
    async (name) => {
      const bytes = Buffer.from(STREAMS[name]);
      // Pieces that end in the middle of frames, of words and of line ends alike.
      const [first, ...rest] = piecesFromFirstWord(name, bytes);
      const answer = controlledStream();
      step = answer;
      const starting = on.send(post(name));
      await answer.head();
      await answer.write(first ?? '');
      const response = await starting;
      let sent = first?.length ?? 0;
      await response.waitForBytes(sent);
      for (const piece of rest) {
        await answer.write(piece);
        sent += piece.length;
        await response.waitForBytes(sent);
      }
      await answer.end();
      expect((await response.bytes()).equals(bytes)).toBe(true);
    },
  );

  function piecesFromFirstWord(name: StreamName, bytes: Buffer): Buffer[] {
    const word =
      /"content":"[^"]|"delta":"|"text":" |"tool_calls":\[\{/.exec(bytes.toString('latin1'))?.index ?? 0;
    const marks = ['\n\n', '\r\n\r\n'].map((mark) => bytes.indexOf(mark, word) + mark.length);
    const start = Math.min(...marks.filter((mark) => mark > word));
    expect(start, name).toBeGreaterThan(0);
    return [bytes.subarray(0, start), ...pieces(bytes.subarray(start), [1, 37, 2, 100])];
  }
});
