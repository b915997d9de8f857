/** What the sidecar itself says in Anthropic's words: errors, ends of streams that broke off, answers of its own. */
import { textAt } from '../algorithms/json-pointer.ts';
import type { CallFacts, LocalError, RenderedAnswer } from '../core/dialect.ts';
import { JSON_BODY, SSE_BODY, sentenceOf } from './rendering.ts';

/** The provider's types of errors and the statuses they come with. */
export const STATUS_OF_TYPE: ReadonlyMap<string, number> = new Map([
  ['invalid_request_error', 400],
  ['authentication_error', 401],
  ['billing_error', 402],
  ['permission_error', 403],
  ['not_found_error', 404],
  ['conflict_error', 409],
  ['request_too_large', 413],
  ['rate_limit_error', 429],
  ['api_error', 500],
  ['timeout_error', 504],
  ['overloaded_error', 529],
]);

const TYPE_OF_STATUS: ReadonlyMap<number, string> = new Map([
  ...[...STATUS_OF_TYPE].map(([type, status]): [number, string] => [status, type]),
  // Ours.
  [405, 'invalid_request_error'],
  [408, 'timeout_error'],
  [417, 'invalid_request_error'],
  [431, 'invalid_request_error'],
  [503, 'overloaded_error'],
]);

/**
 * The code stands where the provider puts codes; its SDK hands it out as `errorCode`. Type and code that the upstream gave
 * inside its answer stay: clients know them.
 */
function envelope(error: LocalError): object {
  const type = textAt(error.said, '/error/type');
  const code = textAt(error.said, '/error/details/error_code');
  return {
    type: 'error',
    error: {
      type:
        type !== undefined && STATUS_OF_TYPE.has(type)
          ? type
          : (TYPE_OF_STATUS.get(error.status) ?? 'api_error'),
      message: sentenceOf(error),
      details: { error_code: code !== undefined && CODE.test(code) ? code : error.reason },
    },
    request_id: error.requestId,
  };
}

const CODE = /^\w{1,100}$/;

export const renderError = (error: LocalError): RenderedAnswer => ({
  headers: JSON_BODY,
  body: JSON.stringify(envelope(error)),
});

export const renderStreamError = (error: LocalError): string => eventOf('error', envelope(error));

export function renderAnswer(text: string, call: CallFacts): RenderedAnswer | undefined {
  if (call.operation === 'messages') return call.stream ? messageStream(text, call) : messageJson(text, call);
  return call.operation === 'complete' ? completion(text, call) : undefined;
}

/** By this it is known for an answer that no model gave. */
const ID = 'msg_outrigger_fallback';

const messageOf = (text: string | undefined, { model }: CallFacts): object => ({
  id: ID,
  type: 'message',
  role: 'assistant',
  model: model ?? 'outrigger-fallback',
  content: text === undefined ? [] : [{ type: 'text', text, citations: null }],
  stop_reason: text === undefined ? null : 'end_turn',
  stop_sequence: null,
  usage: { input_tokens: 0, output_tokens: 0 },
});

const messageJson = (text: string, call: CallFacts): RenderedAnswer => ({
  headers: JSON_BODY,
  body: JSON.stringify(messageOf(text, call)),
});

function messageStream(text: string, call: CallFacts): RenderedAnswer {
  const index = 0;
  const events: [string, object][] = [
    ['message_start', { message: messageOf(undefined, call) }],
    ['content_block_start', { index, content_block: { type: 'text', text: '' } }],
    ['content_block_delta', { index, delta: { type: 'text_delta', text } }],
    ['content_block_stop', { index }],
    [
      'message_delta',
      { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 0 } },
    ],
    ['message_stop', {}],
  ];
  const body = events.map(([type, fields]) => eventOf(type, { type, ...fields })).join('');
  return { headers: SSE_BODY, body };
}

function completion(text: string, { model, stream }: CallFacts): RenderedAnswer {
  const answer = {
    type: 'completion',
    id: 'compl_outrigger_fallback',
    completion: text,
    stop_reason: 'stop_sequence',
    model: model ?? 'outrigger-fallback',
  };
  return stream
    ? { headers: SSE_BODY, body: eventOf('completion', answer) }
    : { headers: JSON_BODY, body: JSON.stringify(answer) };
}

const eventOf = (name: string, json: object): string => `event: ${name}\ndata: ${JSON.stringify(json)}\n\n`;
