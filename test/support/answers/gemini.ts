/** Answers as Gemini gives them: whole, streamed, and refused. */
import { eventText } from '../steps/event-stream.ts';

export interface ChunkInit {
  readonly parts?: readonly object[];
  readonly finishReason?: string;
  readonly index?: number;
  readonly usage?: object;
}

export const USAGE = {
  promptTokenCount: 10,
  cachedContentTokenCount: 4,
  candidatesTokenCount: 6,
  thoughtsTokenCount: 3,
  totalTokenCount: 19,
};

export const chunk = ({ parts, finishReason, index = 0, usage }: ChunkInit): object => ({
  candidates: [
    {
      content: { ...(parts && { parts }), role: 'model' },
      ...(finishReason !== undefined && { finishReason }),
      index,
    },
  ],
  usageMetadata: usage ?? { promptTokenCount: 10, totalTokenCount: 10 },
  modelVersion: 'model-1',
  responseId: 'r-1',
});

export const word = (text: string): object => chunk({ parts: [{ text }] });

export const finish = (finishReason = 'STOP'): object =>
  chunk({ parts: [{ text: '' }], finishReason, usage: USAGE });

export const streamOf = (...words: readonly string[]): object[] => [...words.map(word), finish()];

/** Thoughts, words, a call of a function, and a chunk with nothing but counts after the last. */
export const TOOL_STREAM: readonly object[] = [
  chunk({ parts: [{ text: 'what is it like?', thought: true }] }),
  word('Ich schaue nach … 🙂'),
  chunk({ parts: [{ functionCall: { name: 'weather', args: { city: 'Köln' } } }] }),
  finish(),
  { usageMetadata: { ...USAGE, candidatesTokenCount: 8 }, modelVersion: 'model-1' },
];

export const answer = chunk({ parts: [{ text: 'héllo 🙂' }], finishReason: 'STOP', usage: USAGE });

export const textOfChunks = (chunks: readonly object[]): string => chunks.map(eventOf).join('');

export const eventOf = (json: object): string => eventText(JSON.stringify(json));

export const bytesOf = (chunks: readonly object[]): Buffer => Buffer.from(textOfChunks(chunks));

export const errorBody = (
  code: number,
  status: string,
  { message = 'as it was written', details }: { message?: string; details?: readonly object[] } = {},
) => ({ error: { code, message, status, ...(details && { details }) } });

const typed = (name: string, fields: object): object => ({
  '@type': `type.googleapis.com/google.rpc.${name}`,
  ...fields,
});

export const retryInfo = (retryDelay: string): object => typed('RetryInfo', { retryDelay });
export const errorInfo = (reason: string): object => typed('ErrorInfo', { reason, domain: 'googleapis.com' });
export const quotaFailure = (...quotaIds: readonly string[]): object =>
  typed('QuotaFailure', { violations: quotaIds.map((quotaId) => ({ quotaId })) });
