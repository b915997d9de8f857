/** Starts playgrounds for one test each, and speaks to them. */
import OpenAI from 'openai';
import { expect, onTestFinished, vi } from 'vitest';
import type { z } from 'zod';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import { playgroundSchema } from '../../src/playground/schema.ts';
import { startPlayground } from '../../src/playground/server.ts';
import type { Playground } from '../../src/playground/server.ts';

export type PlaygroundInput = z.input<typeof playgroundSchema>;

/** Listens on a free port and is closed when the test has finished. Streams without a pause unless told otherwise. */
export async function playgroundWith(
  input: PlaygroundInput = {},
  clock: Clock = systemClock,
): Promise<Playground> {
  const options = playgroundSchema.parse({
    listen: '127.0.0.1:0',
    ...input,
    stream: { interval: '0ms', ...input.stream },
  });
  const playground = await startPlayground(options, { clock, random: seededRandom(7) });
  onTestFinished(() => playground.close());
  return playground;
}

/** The official client, without its own retries. */
export function sdkOf(playground: Playground, defaultHeaders: Record<string, string> = {}): OpenAI {
  return new OpenAI({
    apiKey: 'unused',
    baseURL: `${playground.address.url}/v1`,
    maxRetries: 0,
    defaultHeaders,
    logLevel: 'off',
  });
}

export const chatBody = { model: 'm', messages: [{ role: 'user' as const, content: 'hello there' }] };

/** Posts a chat request without any SDK between. */
export function postChat(
  playground: Playground,
  { fault, signal, ...body }: { fault?: string; signal?: AbortSignal; [field: string]: unknown } = {},
): Promise<Response> {
  return fetch(`${playground.address.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(fault === undefined ? {} : { 'x-playground-fault': fault }),
    },
    body: JSON.stringify({ ...chatBody, ...body }),
    ...(signal ? { signal } : {}),
  });
}

/** All items of a stream, in order. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** The system's or undici's code for why a fetch failed. */
export async function failureCode(work: Promise<unknown>): Promise<unknown> {
  const error: unknown = await work.then(
    () => expect.fail('expected a failure'),
    (reason: unknown) => reason,
  );
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? cause.code : error;
}

/** The server notices the end of an exchange a moment after the client: waits for that moment. */
export async function eventually(check: () => void): Promise<void> {
  await vi.waitFor(check, { timeout: 5_000, interval: 2 });
}
