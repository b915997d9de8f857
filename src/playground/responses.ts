/** `POST /v1/responses`: the answer as one response object or as numbered events that end with its final state. */
import { z } from 'zod';
import { composeAnswer } from './answer.ts';
import type { Answer } from './answer.ts';
import { estimateTokens, lastUserText, message, modelName } from './request.ts';
import { frame, operation } from './reply.ts';
import type { EventScript, ReplyContext } from './reply.ts';

const responsesRequest = z.looseObject({
  model: modelName,
  input: z.union([z.string(), z.array(message).min(1)]),
  stream: z.boolean().nullish(),
  max_output_tokens: z.number().int().min(1).nullish(),
});

type ResponsesRequest = z.output<typeof responsesRequest>;

export const createResponse = operation(responsesRequest, (request, context) => {
  const { input } = request;
  const prompt = typeof input === 'string' ? input : lastUserText(input);
  const answer = composeAnswer(prompt, context.tokens, request.max_output_tokens ?? undefined);
  const states = statesOf(request, context, { answer, prompt });
  if (request.stream === true) return { kind: 'events', script: events(states, answer) };
  return { kind: 'json', body: states.final };
});

interface States {
  readonly started: object;
  readonly final: object;
  readonly finalEvent: 'response.completed' | 'response.incomplete';
  readonly itemId: string;
}

function statesOf(
  request: ResponsesRequest,
  context: ReplyContext,
  { answer, prompt }: { answer: Answer; prompt: string },
): States {
  const itemId = `msg_${context.id}`;
  const base = baseOf(request, context);
  const status = answer.limited ? 'incomplete' : 'completed';
  return {
    started: { ...base, status: 'in_progress', output: [], usage: null },
    final: {
      ...base,
      status,
      incomplete_details: answer.limited ? { reason: 'max_output_tokens' } : null,
      output: [messageItem(itemId, status, [textPart(answer.tokens.join(''))])],
      usage: usageOf(prompt, answer),
    },
    finalEvent: `response.${status}`,
    itemId,
  };
}

function baseOf({ model, max_output_tokens }: ResponsesRequest, { id, createdAt }: ReplyContext): object {
  return {
    id: `resp_${id}`,
    object: 'response',
    created_at: createdAt,
    model,
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: max_output_tokens ?? null,
    metadata: {},
    parallel_tool_calls: true,
    previous_response_id: null,
    temperature: 1,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    truncation: 'disabled',
  };
}

function events({ started, final, finalEvent, itemId }: States, answer: Answer): EventScript {
  const text = answer.tokens.join('');
  const status = answer.limited ? 'incomplete' : 'completed';
  const opening = [
    { type: 'response.created', response: started },
    { type: 'response.in_progress', response: started },
    { type: 'response.output_item.added', output_index: 0, item: messageItem(itemId, 'in_progress', []) },
    { type: 'response.content_part.added', ...place(itemId), part: textPart('') },
  ];
  const closing = [
    { type: 'response.output_text.done', ...place(itemId), text, logprobs: [] },
    { type: 'response.content_part.done', ...place(itemId), part: textPart(text) },
    {
      type: 'response.output_item.done',
      output_index: 0,
      item: messageItem(itemId, status, [textPart(text)]),
    },
    { type: finalEvent, response: final },
  ];
  return {
    opening: opening.map((event, index) => numbered(event, index)).join(''),
    tokens: answer.tokens,
    delta: (token, index) =>
      numbered(
        { type: 'response.output_text.delta', ...place(itemId), delta: token, logprobs: [] },
        opening.length + index,
      ),
    closing: closing
      .map((event, index) => numbered(event, opening.length + answer.tokens.length + index))
      .join(''),
  };
}

const numbered = (
  event: Record<string, unknown> & { readonly type: string },
  sequence_number: number,
): string => frame({ ...event, sequence_number }, event.type);

const place = (item_id: string): object => ({ item_id, output_index: 0, content_index: 0 });

const textPart = (text: string): object => ({ type: 'output_text', text, annotations: [], logprobs: [] });

const messageItem = (id: string, status: string, content: object[]): object => ({
  id,
  type: 'message',
  role: 'assistant',
  status,
  content,
});

function usageOf(prompt: string, { tokens }: Answer): object {
  const input_tokens = estimateTokens(prompt);
  return {
    input_tokens,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: tokens.length,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: input_tokens + tokens.length,
  };
}
