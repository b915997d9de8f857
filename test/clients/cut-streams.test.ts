/**
 * A stream that is cut at any byte is a whole answer or an explicit error to those who read it with the official SDKs,
 * never a part that passes for the whole. Without sockets, so that every byte can be tried.
 */
import Anthropic from '@anthropic-ai/sdk';
import { ApiError } from '@google/genai';
import { describe, expect, it } from 'vitest';
import { anthropic } from '../../src/dialects/anthropic.ts';
import { gemini } from '../../src/dialects/gemini.ts';
import * as claude from '../support/answers/anthropic.ts';
import * as google from '../support/answers/gemini.ts';
import { cutAt, gatedFetch } from '../support/gated-answer.ts';
import type { GatedAnswer } from '../support/gated-answer.ts';
import { anthropicAt, collect, geminiAt } from './fixture.ts';

const BASE = 'http://sidecar.test';

type Result = { readonly whole: string } | { readonly raised: Error };

async function resultOf(answer: Promise<string>): Promise<Result> {
  try {
    return { whole: await answer };
  } catch (error) {
    return { raised: error as Error };
  }
}

type Read = (answer: Omit<GatedAnswer, 'dialect'>) => Promise<string>;

/** How often to cut: the two ends differ only in what the gate is told, so that one of them can be sampled. */
const STEP = { clean: 1, destroyed: 3 };

/** Cuts at every byte or so; `check` sees each error. @returns the lengths after which the answer was taken for whole */
async function wholeAfter(
  bytes: Buffer,
  { read, end, check }: { read: Read; end: GatedAnswer['end']; check: (error: Error, cut: number) => void },
): Promise<number[]> {
  const expected = await read({ chunks: [bytes], end: 'clean' });
  const whole: number[] = [];
  for (let cut = bytes.length; cut >= 0; cut -= STEP[end]) {
    const result = await resultOf(read({ chunks: [bytes.subarray(0, cut)], end }));
    if ('raised' in result) check(result.raised, cut);
    else {
      expect(result.whole, `cut after ${cut} bytes`).toBe(expected);
      whole.push(cut);
    }
  }
  return whole;
}

describe.each(['clean', 'destroyed'] as const)('cut at every byte, the connection %s', (end) => {
  it('the Anthropic SDK has a whole message after message_stop only, and else our error', async () => {
    const bytes = claude.bytesOf(claude.streamOf('Ich schaue nach … 🙂'));
    let fetched: typeof fetch;
    const client = anthropicAt(BASE, { fetch: (input, init) => fetched(input, init) });
    const read: Read = async (answer) => {
      fetched = gatedFetch({ ...answer, dialect: anthropic });
      const stream = await client.messages.create({ ...claude.request, stream: true });
      return JSON.stringify(await collect(stream));
    };
    const check = (error: Error, cut: number): void => {
      expect(error, `cut after ${cut} bytes`).toBeInstanceOf(Anthropic.APIError);
      const code = end === 'clean' && cut === 0 ? 'empty_answer' : 'response_incomplete';
      expect((error as InstanceType<typeof Anthropic.APIError>).errorCode).toBe(code);
    };
    expect(await wholeAfter(bytes, { read, end, check })).toEqual([bytes.length]);
  });

  const askGoogle: Read = async (answer) => {
    const client = geminiAt(BASE, { fetch: gatedFetch({ ...answer, dialect: gemini }) });
    const stream = await client.models.generateContentStream({ model: 'm', contents: 'hello' });
    return (await collect(stream)).map(({ text }) => text ?? '').join('');
  };

  it("Google's SDK has a whole answer after the reason to stop only, and else an error", async () => {
    const bytes = google.bytesOf(google.streamOf('Ich schaue ', 'nach … 🙂'));
    let typed = 0;
    const check = (error: Error): void => {
      // Half an event is half of a JSON text, which this SDK reads before it comes to our error.
      if (error instanceof ApiError) typed += 1;
      else expect(error.message).toMatch(/JSON/);
    };
    expect(await wholeAfter(bytes, { read: askGoogle, end, check })).toEqual([bytes.length]);
    expect(typed).toBeGreaterThan(0);
  });

  it("Google's SDK has the whole answer, or an error, whatever of the counts after it is lost", async () => {
    const answer = google.bytesOf(google.streamOf('hi'));
    const counts = google.bytesOf(google.TOOL_STREAM.slice(-1));
    for (let cut = 0; cut <= counts.length; cut += 7) {
      const chunks = [answer, counts.subarray(0, cut)];
      const result = await resultOf(askGoogle({ chunks, end }));
      if ('whole' in result) expect(result.whole).toBe('hi');
      // A part of an event at the end, which this SDK does not overlook.
      else expect(result.raised.message).toMatch(/Incomplete JSON segment/);
    }
    expect(await askGoogle({ chunks: [answer], end })).toBe('hi');
    expect(await askGoogle({ chunks: [answer, counts], end })).toBe('hi');
  });
});

it.each([
  ['anthropic', anthropic, '/v1/messages', claude.bytesOf(claude.TOOL_STREAM)],
  ['gemini', gemini, '/v1/models/m:streamGenerateContent?alt=sse', google.bytesOf(google.TOOL_STREAM)],
] as const)('a whole stream of %s has the same bytes in whatever pieces it comes', async (...given) => {
  const [, dialect, target, bytes] = given;
  for (let place = 1; place < bytes.length; place += 3) {
    const chunks = cutAt(bytes, place, Math.min(place + 40, bytes.length));
    const ask = gatedFetch({ dialect, chunks, end: 'clean' });
    const response = await ask(BASE + target, { method: 'POST', body: '{}' });
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes), `cut at ${place}`).toBe(true);
  }
});
