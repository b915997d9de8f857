/** Answers of the sidecar's own in the words of OpenAI's API. */
import type { CallFacts, RenderedAnswer } from '../core/dialect.ts';
import { JSON_BODY, SSE_BODY } from './rendering.ts';

/** By this it is known for an answer that no model gave. */
const MARK = 'outrigger-fallback';

export function renderAnswer(text: string, call: CallFacts): RenderedAnswer | undefined {
  switch (call.operation) {
    case 'chat':
      return call.stream ? chatStream(text, call) : json(chat(text, call));
    case 'completion':
      return call.stream ? completionStream(text, call) : json(completion(text, call));
    case 'responses':
      return call.stream ? responseStream(text, call) : json(response(text, call));
    default:
      return undefined;
  }
}

const json = (body: object): RenderedAnswer => ({ headers: JSON_BODY, body: JSON.stringify(body) });

const named = ({ model }: CallFacts): string => model ?? MARK;

// --- chat completions, and the legacy ones

const about = (object: string, id: string, call: CallFacts): object => ({
  id,
  object,
  created: 0,
  model: named(call),
  system_fingerprint: MARK,
});

const NO_TOKENS = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };

const chat = (content: string, call: CallFacts): object => ({
  ...about('chat.completion', `chatcmpl-${MARK}`, call),
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content, refusal: null },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: NO_TOKENS,
});

const completion = (text: string, call: CallFacts): object => ({
  ...about('text_completion', `cmpl-${MARK}`, call),
  choices: [{ index: 0, text, logprobs: null, finish_reason: 'stop' }],
  usage: NO_TOKENS,
});

function chatStream(content: string, call: CallFacts): RenderedAnswer {
  const head = about('chat.completion.chunk', `chatcmpl-${MARK}`, call);
  const chunk = (delta: object, finishReason: string | null): object => ({
    ...head,
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
  });
  return chunks([
    chunk({ role: 'assistant', content: '' }, null),
    chunk({ content }, null),
    chunk({}, 'stop'),
  ]);
}

function completionStream(text: string, call: CallFacts): RenderedAnswer {
  const head = about('text_completion', `cmpl-${MARK}`, call);
  const chunk = (said: string, finishReason: string | null): object => ({
    ...head,
    choices: [{ index: 0, text: said, logprobs: null, finish_reason: finishReason }],
  });
  return chunks([chunk(text, null), chunk('', 'stop')]);
}

const chunks = (list: readonly object[]): RenderedAnswer => ({
  headers: SSE_BODY,
  body: `${list.map((one) => `data: ${JSON.stringify(one)}\n\n`).join('')}data: [DONE]\n\n`,
});

// --- Responses

const partOf = (text: string): object => ({ type: 'output_text', text, annotations: [], logprobs: [] });

const itemOf = (status: string, content: readonly object[]): object => ({
  id: `msg_${MARK}`,
  type: 'message',
  role: 'assistant',
  status,
  content,
});

const responseOf = (call: CallFacts, status: string, output: readonly object[]): object => ({
  id: `resp_${MARK}`,
  object: 'response',
  created_at: 0,
  status,
  error: null,
  incomplete_details: null,
  instructions: null,
  metadata: { outrigger: 'fallback' },
  model: named(call),
  output,
  parallel_tool_calls: true,
  temperature: null,
  tool_choice: 'auto',
  tools: [],
  top_p: null,
  usage:
    status === 'completed'
      ? {
          input_tokens: 0,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: 0,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: 0,
        }
      : null,
});

const response = (text: string, call: CallFacts): object =>
  responseOf(call, 'completed', [itemOf('completed', [partOf(text)])]);

function responseStream(text: string, call: CallFacts): RenderedAnswer {
  const begun = { response: responseOf(call, 'in_progress', []) };
  const item = { output_index: 0 };
  const part = { item_id: `msg_${MARK}`, output_index: 0, content_index: 0 };
  const events: [string, object][] = [
    ['created', begun],
    ['in_progress', begun],
    ['output_item.added', { ...item, item: itemOf('in_progress', []) }],
    ['content_part.added', { ...part, part: partOf('') }],
    ['output_text.delta', { ...part, delta: text, logprobs: [] }],
    ['output_text.done', { ...part, text, logprobs: [] }],
    ['content_part.done', { ...part, part: partOf(text) }],
    ['output_item.done', { ...item, item: itemOf('completed', [partOf(text)]) }],
    ['completed', { response: response(text, call) }],
  ];
  const body = events.map(([name, fields], number) => {
    const type = `response.${name}`;
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: number, ...fields })}\n\n`;
  });
  return { headers: SSE_BODY, body: body.join('') };
}
