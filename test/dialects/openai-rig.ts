/** Calls, answers and streams as the OpenAI dialect reads them. */
import { AnswerFacts } from '../../src/core/dialect.ts';
import type { CallFacts, StreamSignal } from '../../src/core/dialect.ts';
import { openai } from '../../src/dialects/openai.ts';
import { SseFrames } from '../../src/streams/sse-frames.ts';

export function callOf(target: string, json: unknown = {}, method = 'POST'): CallFacts {
  const call = openai.readCall?.({ method, target, headers: [], host: 'h' }, () => json);
  if (!call) throw new Error('the dialect reads no calls');
  return call;
}

export interface ReadStream {
  /** What each event was taken for. */
  readonly signals: StreamSignal[];
  readonly facts: AnswerFacts;
  readonly error: unknown;
  readonly hasTerminator: boolean;
  readonly unheard: boolean | undefined;
}

/** Reads a whole stream as the tap does; the first word comes at instant 1. */
export function readStream(target: string, text: string): ReadStream {
  const facts = new AnswerFacts();
  const reader = openai.follow?.(callOf(target), facts);
  if (!reader) throw new Error('the dialect follows no streams');
  const signals: StreamSignal[] = [];
  const frames = new SseFrames((event, data) => {
    const signal = reader.read(event, data);
    if (signal === 'content') facts.firstTokenAt ??= 1;
    signals.push(signal);
  });
  frames.push(Buffer.from(text));
  const { error, hasTerminator, unheard } = reader;
  return { signals, facts, error, hasTerminator, unheard };
}

export function readJson(target: string, json: unknown) {
  const facts = new AnswerFacts();
  return { kind: openai.readJson?.(json, callOf(target), facts).kind, facts };
}
