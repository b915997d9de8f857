/** What the client tests share: SDK clients that look at a sidecar, and the wire as it was. */
import Anthropic from '@anthropic-ai/sdk';
import type { ClientOptions as AnthropicOptions } from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import type { HttpOptions } from '@google/genai';
import OpenAI from 'openai';
import type { ClientOptions as OpenAiOptions } from 'openai';

/** Without retries of its own unless a test is about them. */
export function openaiAt(baseURL: string, options: OpenAiOptions = {}): OpenAI {
  return new OpenAI({ apiKey: 'sk-client', baseURL, maxRetries: 0, logLevel: 'off', ...options });
}

/** Without retries of its own unless a test is about them. */
export function anthropicAt(baseURL: string, options: AnthropicOptions = {}): Anthropic {
  return new Anthropic({ apiKey: 'sk-ant-client', baseURL, maxRetries: 0, logLevel: 'off', ...options });
}

/** Without retries of its own, which is what it does by itself. */
export function geminiAt(baseUrl: string, httpOptions: HttpOptions = {}): GoogleGenAI {
  return new GoogleGenAI({ apiKey: 'goog-client', httpOptions: { baseUrl, ...httpOptions } });
}

export const chat = { model: 'm', messages: [{ role: 'user' as const, content: 'hello there' }] };

/** All items of a stream, in order. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** What a promise rejects with; it must. */
export async function failureOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected a failure');
}
