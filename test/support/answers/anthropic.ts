/** Answers as Anthropic gives them: whole, streamed, and refused. */
import { eventText, type EventInit } from '../steps/event-stream.ts';

export const request = {
  model: 'm',
  max_tokens: 9,
  messages: [{ role: 'user' as const, content: 'hello there' }],
};

export const message = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'model-1',
  content: [{ type: 'text', text: 'héllo 🙂' }],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: { input_tokens: 3, cache_creation_input_tokens: 5, cache_read_input_tokens: 7, output_tokens: 2 },
};

export const event = (type: string, fields: object = {}): EventInit => ({
  event: type,
  data: JSON.stringify({ type, ...fields }),
});

export const start = event('message_start', {
  message: { ...message, content: [], stop_reason: null, usage: { ...message.usage, output_tokens: 1 } },
});
export const ping = event('ping');
export const blockStart = (index: number, block: object): EventInit =>
  event('content_block_start', { index, content_block: block });
export const textStart = (index = 0): EventInit => blockStart(index, { type: 'text', text: '' });
export const delta = (index: number, fields: object): EventInit =>
  event('content_block_delta', { index, delta: fields });
export const word = (text: string, index = 0): EventInit => delta(index, { type: 'text_delta', text });
export const blockStop = (index = 0): EventInit => event('content_block_stop', { index });
export const finish = (stopReason = 'end_turn'): EventInit =>
  event('message_delta', {
    delta: { stop_reason: stopReason, stop_sequence: null },
    usage: { output_tokens: 42, input_tokens: null, output_tokens_details: { thinking_tokens: 11 } },
  });
export const stop = event('message_stop');

/** Words, with pings and comments between them. */
export const streamOf = (...words: readonly string[]): EventInit[] => [
  start,
  textStart(),
  ping,
  ...words.flatMap((text) => [word(text), { comment: 'keep-alive' }]),
  blockStop(),
  finish(),
  stop,
];

/** Thoughts, words and a call of a tool. */
export const TOOL_STREAM: readonly EventInit[] = [
  start,
  blockStart(0, { type: 'thinking', thinking: '', signature: '' }),
  delta(0, { type: 'thinking_delta', thinking: 'what is it like?' }),
  delta(0, { type: 'signature_delta', signature: 'c2ln' }),
  blockStop(0),
  textStart(1),
  word('Ich schaue nach … 🙂', 1),
  blockStop(1),
  blockStart(2, { type: 'tool_use', id: 'toolu_1', name: 'weather', input: {} }),
  delta(2, { type: 'input_json_delta', partial_json: '{"city":' }),
  delta(2, { type: 'input_json_delta', partial_json: '"Köln"}' }),
  blockStop(2),
  finish('tool_use'),
  stop,
];

export const bytesOf = (events: readonly EventInit[]): Buffer => Buffer.from(events.map(eventText).join(''));

export const errorBody = (type: string, text = 'as it was written', details?: object) => ({
  type: 'error',
  error: { type, message: text, ...(details && { details }) },
  request_id: 'req_1',
});

export const errorEvent = (type: string, text?: string): EventInit => ({
  event: 'error',
  data: JSON.stringify(errorBody(type, text)),
});
