/** `POST /v1/chat/completions`: the answer as one completion or as chunks that end with `[DONE]`. */
import { z } from 'zod';
import { composeAnswer } from './answer.ts';
import type { Answer } from './answer.ts';
import { estimateTokens, lastUserText, message, modelName } from './request.ts';
import { frame, operation } from './reply.ts';
import type { EventScript, ReplyContext } from './reply.ts';

const chatRequest = z.looseObject({
  model: modelName,
  messages: z.array(message).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.number().int().min(1).nullish(),
  max_completion_tokens: z.number().int().min(1).nullish(),
});

type ChatRequest = z.output<typeof chatRequest>;

export const chatCompletion = operation(chatRequest, (request, context) => {
  const prompt = lastUserText(request.messages);
  const limit = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  const answer = composeAnswer(prompt, context.tokens, limit);
  const usage = usageOf(prompt, answer);
  if (request.stream === true) return { kind: 'events', script: chunks(request, context, { answer, usage }) };
  const choice = {
    index: 0,
    message: { role: 'assistant', content: answer.tokens.join(''), refusal: null },
    logprobs: null,
    finish_reason: finishReason(answer),
  };
  return { kind: 'json', body: { ...head('chat.completion', request, context), choices: [choice], usage } };
});

function chunks(
  request: ChatRequest,
  context: ReplyContext,
  { answer, usage }: { answer: Answer; usage: object },
): EventScript {
  const withUsage = request.stream_options?.include_usage === true;
  const chunkHead = head('chat.completion.chunk', request, context);
  const chunk = (choices: object[], itsUsage: object | null = null): string =>
    frame({ ...chunkHead, choices, ...(withUsage ? { usage: itsUsage } : {}) });
  const choice = (delta: object, finish_reason: string | null = null): object[] => [
    { index: 0, delta, logprobs: null, finish_reason },
  ];
  return {
    opening: chunk(choice({ role: 'assistant', content: '', refusal: null })),
    tokens: answer.tokens,
    delta: (token) => chunk(choice({ content: token })),
    closing:
      chunk(choice({}, finishReason(answer))) + (withUsage ? chunk([], usage) : '') + 'data: [DONE]\n\n',
  };
}

const head = (object: string, { model }: ChatRequest, { id, createdAt }: ReplyContext): object => ({
  id: `chatcmpl-${id}`,
  object,
  created: createdAt,
  model,
  service_tier: 'default',
  system_fingerprint: 'fp_playground',
});

const finishReason = ({ limited }: Answer): string => (limited ? 'length' : 'stop');

function usageOf(prompt: string, { tokens }: Answer): object {
  const prompt_tokens = estimateTokens(prompt);
  const completion_tokens = tokens.length;
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}
