/** Streams as OpenAI and those who speak its protocol write them, in their own words and framing. */
import { eventText } from './steps/event-stream.ts';

const json = (value: unknown): string => JSON.stringify(value);

/** One chunk of a chat completion. */
export const chatChunk = (delta: object, more: object = {}, finish: string | null = null): string =>
  json({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_780_000_000,
    model: 'gpt-test-2026',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
    ...more,
  });

export const usageChunk = (more: object = {}): string =>
  json({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_780_000_000,
    model: 'gpt-test-2026',
    choices: [],
    usage: {
      prompt_tokens: 20,
      completion_tokens: 7,
      total_tokens: 27,
      prompt_tokens_details: { cached_tokens: 16 },
      completion_tokens_details: { reasoning_tokens: 2 },
    },
    ...more,
  });

const events = (...data: readonly string[]): string => data.map((one) => eventText(one)).join('');

const PREAMBLE = chatChunk({ role: 'assistant', content: '' });

/** One event of a Responses stream, named as OpenAI names it. */
export const responseEvent = (type: string, more: object = {}, sequence = 0): string =>
  eventText({ event: type, data: json({ type, sequence_number: sequence, ...more }) });

export const response = (status: string, more: object = {}): object => ({
  response: {
    id: 'resp_1',
    object: 'response',
    created_at: 1_780_000_000,
    model: 'gpt-test-2026',
    status,
    output: [],
    ...more,
  },
});

const MESSAGE = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  status: 'completed',
  content: [{ type: 'output_text', text: 'Hello', annotations: [] }],
};

const TEXT_PLACE = { item_id: 'msg_1', output_index: 0, content_index: 0 };

/** Complete streams; each is a whole answer. */
export const STREAMS = {
  chat:
    events(PREAMBLE, chatChunk({ content: 'Hel' }), chatChunk({ content: 'lo' }), chatChunk({}, {}, 'stop')) +
    events('[DONE]'),
  'chat with usage': events(
    PREAMBLE,
    chatChunk({ content: 'Hi' }),
    chatChunk({}, {}, 'stop'),
    usageChunk(),
    '[DONE]',
  ),
  'chat with tool calls': events(
    chatChunk({
      role: 'assistant',
      content: null,
      tool_calls: [
        { index: 0, id: 'call_1', type: 'function', function: { name: 'look_up', arguments: '' } },
      ],
    }),
    chatChunk({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
    chatChunk({ tool_calls: [{ index: 0, function: { arguments: '"Zürich"}' } }] }),
    chatChunk({}, {}, 'tool_calls'),
    '[DONE]',
  ),
  'chat in many scripts': events(
    PREAMBLE,
    chatChunk({ content: 'é 🙂 漢字 "q" \u2028' }),
    chatChunk({}, {}, 'stop'),
    '[DONE]',
  ),
  'chat with CRLF, and comments between':
    ': OPENROUTER PROCESSING\r\n\r\n' +
    events(PREAMBLE, chatChunk({ content: 'Hi' })).replaceAll('\n', '\r\n') +
    ': OPENROUTER PROCESSING\r\n\r\n' +
    events(chatChunk({}, {}, 'stop'), '[DONE]').replaceAll('\n', '\r\n'),
  completion: events(
    json({
      id: 'cmpl-1',
      object: 'text_completion',
      model: 'm',
      choices: [{ index: 0, text: '', finish_reason: null }],
    }),
    json({
      id: 'cmpl-1',
      object: 'text_completion',
      model: 'm',
      choices: [{ index: 0, text: ' Once', finish_reason: null }],
    }),
    json({
      id: 'cmpl-1',
      object: 'text_completion',
      model: 'm',
      choices: [{ index: 0, text: '', finish_reason: 'length' }],
    }),
    '[DONE]',
  ),
  responses:
    responseEvent('response.created', response('in_progress'), 0) +
    responseEvent('response.in_progress', response('in_progress'), 1) +
    responseEvent(
      'response.output_item.added',
      { output_index: 0, item: { ...MESSAGE, status: 'in_progress', content: [] } },
      2,
    ) +
    responseEvent(
      'response.content_part.added',
      { ...TEXT_PLACE, part: { type: 'output_text', text: '', annotations: [] } },
      3,
    ) +
    responseEvent('response.output_text.delta', { ...TEXT_PLACE, delta: 'Hello', logprobs: [] }, 4) +
    responseEvent('response.output_text.done', { ...TEXT_PLACE, text: 'Hello', logprobs: [] }, 5) +
    responseEvent('response.output_item.done', { output_index: 0, item: MESSAGE }, 6) +
    responseEvent(
      'response.completed',
      response('completed', {
        output: [MESSAGE],
        usage: {
          input_tokens: 11,
          input_tokens_details: { cached_tokens: 4 },
          output_tokens: 5,
          output_tokens_details: { reasoning_tokens: 3 },
          total_tokens: 16,
        },
      }),
      7,
    ),
} as const;

export type StreamName = keyof typeof STREAMS;

/** The operation that a stream answers. */
export const operationOf = (name: StreamName): 'chat' | 'completion' | 'responses' =>
  name === 'completion' || name === 'responses' ? name : 'chat';

export const PATHS = {
  chat: '/v1/chat/completions',
  completion: '/v1/completions',
  responses: '/v1/responses',
} as const;

export const CHAT_JSON = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_780_000_000,
  model: 'gpt-test-2026',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Hello', refusal: null },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 20, completion_tokens: 7, total_tokens: 27 },
};

export const RESPONSE_JSON = {
  id: 'resp_1',
  object: 'response',
  created_at: 1_780_000_000,
  status: 'completed',
  error: null,
  incomplete_details: null,
  model: 'gpt-test-2026',
  output: [MESSAGE],
  usage: {
    input_tokens: 11,
    input_tokens_details: { cached_tokens: 4 },
    output_tokens: 5,
    output_tokens_details: { reasoning_tokens: 3 },
    total_tokens: 16,
  },
};
