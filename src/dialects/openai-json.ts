/** What stands in whole answers of OpenAI's API, and in the chunks of its streams. */
import { textAt, valuesAt } from '../algorithms/json-pointer.ts';
import type { AnswerFacts, CallFacts, JsonReading, Usage } from '../core/dialect.ts';
import { asNumber, asRecord } from './json-shapes.ts';
import { isFlatError } from './openai-errors.ts';

const usageOf = (json: unknown): Usage | undefined => {
  const usage = asRecord(json);
  if (!usage) return undefined;
  const input = asNumber(usage['prompt_tokens'] ?? usage['input_tokens']);
  const output = asNumber(usage['completion_tokens'] ?? usage['output_tokens']);
  if (input === undefined && output === undefined) return undefined;
  const inputDetails = asRecord(usage['prompt_tokens_details'] ?? usage['input_tokens_details']);
  const outputDetails = asRecord(usage['completion_tokens_details'] ?? usage['output_tokens_details']);
  return {
    input: input ?? 0,
    cached: asNumber(inputDetails?.['cached_tokens'] ?? usage['prompt_cache_hit_tokens']) ?? 0,
    output: output ?? 0,
    reasoning: asNumber(outputDetails?.['reasoning_tokens']) ?? 0,
  };
};

/** Writes down what any answer or chunk says of itself. */
export function note(facts: AnswerFacts, json: Readonly<Record<string, unknown>>): void {
  if (typeof json['model'] === 'string') facts.model = json['model'];
  // Groq's place for it in streams.
  const usage = usageOf(json['usage']) ?? usageOf(asRecord(json['x_groq'])?.['usage']);
  if (usage) facts.usage = usage;
  const finish = textAt(json, '/choices/0/finish_reason');
  if (finish !== undefined) facts.finishReason = finish;
}

export const hasError = (json: Readonly<Record<string, unknown>>): boolean => {
  const { error } = json;
  return typeof error === 'string' ? error !== '' : asRecord(error) !== undefined || isFlatError(json);
};

/** Where the answer proper must be, by operation. */
const CONTENTS: Readonly<Record<string, readonly string[]>> = {
  chat: ['/choices/*'],
  // As llama.cpp and Ollama answer on paths that end like OpenAI's.
  completion: ['/choices/*', '/content', '/response'],
  embeddings: ['/data/*', '/embeddings/*', '/embedding/*'],
  moderation: ['/results/*'],
  image: ['/data/*'],
};

export function readJson(json: unknown, { operation }: CallFacts, facts: AnswerFacts): JsonReading {
  const body = asRecord(json);
  if (!body) return { kind: json === null || json === '' ? 'empty' : 'answer' };
  note(facts, body);
  if (operation === 'responses') return readResponse(body, facts);
  if (hasError(body)) return { kind: 'error' };
  if (valuesAt(body, '/choices/*/error').some((error) => asRecord(error))) return { kind: 'error' };
  const places = operation === undefined ? undefined : CONTENTS[operation];
  return { kind: !places || places.some((place) => valuesAt(body, place).length > 0) ? 'answer' : 'empty' };
}

function readResponse(body: Readonly<Record<string, unknown>>, facts: AnswerFacts): JsonReading {
  const { status, output } = body;
  if (typeof status === 'string') facts.finishReason = status;
  if (hasError(body) || status === 'failed') return { kind: 'error' };
  const done = status === undefined || status === 'completed';
  const contents = Array.isArray(output) ? output.length : 0;
  return { kind: done && contents === 0 ? 'empty' : 'answer' };
}
