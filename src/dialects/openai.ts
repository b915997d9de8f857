/**
 * OpenAI's HTTP API and the many that speak it: chat completions, legacy completions, Responses, embeddings. The table of
 * errors holds those of all of them: their codes do not collide.
 */
import { jsonOf } from '../algorithms/utf8-text.ts';
import { textAt, valuesAt } from '../algorithms/json-pointer.ts';
import type {
  AnswerFacts,
  CallFacts,
  Dialect,
  ErrorRule,
  JsonReading,
  LocalError,
  RenderedAnswer,
  StreamReader,
  StreamSignal,
  Usage,
} from '../core/dialect.ts';
import type { RequestHead } from '../core/exchange.ts';
import { judgeBy } from './judge.ts';
import { asNumber, asRecord, bodyStatus, lastPathOf, LazyCall } from './json-shapes.ts';
import { generic } from './generic.ts';

/** Codes and types as OpenAI, Azure, Groq, Mistral, OpenRouter, DeepSeek and vLLM write them. */
const errors: readonly ErrorRule[] = [
  // Money: no wait helps.
  { status: [402], headers: { 'retry-after': '' }, as: 'throttled' }, // OpenRouter: only the calls under way are too many
  { status: [402], as: 'quota' },
  { body: { '/error/type': '^insufficient_quota$' }, as: 'quota' },
  {
    body: {
      '/error/code':
        '^(insufficient_quota|insufficient_credits|credit_balance_exhausted|billing_hard_limit_reached|billing_not_active|(organization|project)_(spend|usage)_limit_exceeded)$',
    },
    as: 'quota',
  },
  // What the request says.
  { body: { '/error/code': '^(context_length_exceeded|string_above_max_length)$' }, as: 'context_length' },
  {
    status: [400, 413, 422],
    body: {
      '/error/message': 'maximum context length|context window|too many (input )?tokens|reduce the length',
    },
    as: 'context_length',
  },
  { body: { '/error/code': '^(content_filter|content_policy_violation)$' }, as: 'content_filter' },
  { body: { '/error/innererror/code': '^ResponsibleAIPolicyViolation$' }, as: 'content_filter' },
  // Load.
  {
    body: { '/error/code': '^(server_is_overloaded|slow_down|capacity_exceeded|engine_overloaded)$' },
    as: 'overloaded',
  },
  { body: { '/error/type': '^(overloaded_error|engine_overloaded)$' }, as: 'overloaded' },
  { status: [498], as: 'overloaded' }, // Groq: flex capacity
  { body: { '/error/code': '^rate_limit_exceeded$' }, as: 'throttled' },
  {
    body: { '/error/type': '^(rate_limit_error|rate_limit_exceeded|tokens|requests)$' },
    status: [429],
    as: 'throttled',
  },
  // Credentials.
  { body: { '/error/code': '^(invalid_api_key|account_deactivated|invalid_organization)$' }, as: 'auth' },
  // Inside an answer, where there is no status to go by.
  { status: [400, 404, 422], body: { '/error/type': '^invalid_request_error$' }, as: 'permanent' },
];

const OPERATIONS: ReadonlyMap<string, string> = new Map([
  ['chat/completions', 'chat'],
  ['completions', 'completion'],
  ['responses', 'responses'],
  ['embeddings', 'embeddings'],
  ['moderations', 'moderation'],
  ['images/generations', 'image'],
  ['audio/speech', 'speech'],
  ['audio/transcriptions', 'transcription'],
  ['audio/translations', 'transcription'],
  ['rerank', 'rerank'],
]);

function readCall(request: RequestHead, json: () => unknown): CallFacts {
  const operation = request.method === 'POST' ? operationOf(request.target) : undefined;
  return new LazyCall(operation, json, (body) => (leavesTraces(operation, body) ? 'unsafe' : 'compute'));
}

function operationOf(target: string): string | undefined {
  return OPERATIONS.get(lastPathOf(target, 2)) ?? OPERATIONS.get(lastPathOf(target, 1));
}

/** A background job, a turn added to a conversation that the provider keeps, or tools that the provider calls itself. */
function leavesTraces(operation: string | undefined, json: unknown): boolean {
  if (operation !== 'responses') return operation === undefined;
  const body = asRecord(json);
  if (body === undefined || body['background'] === true || (body['conversation'] ?? null) !== null)
    return true;
  return valuesAt(body, '/tools/*/type').includes('mcp');
}

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

function note(facts: AnswerFacts, json: Readonly<Record<string, unknown>>): void {
  if (typeof json['model'] === 'string') facts.model = json['model'];
  // Groq's place for it in streams.
  const usage = usageOf(json['usage']) ?? usageOf(asRecord(json['x_groq'])?.['usage']);
  if (usage) facts.usage = usage;
  const finish = textAt(json, '/choices/0/finish_reason');
  if (finish !== undefined) facts.finishReason = finish;
}

const hasError = (json: Readonly<Record<string, unknown>>): boolean => {
  const { error } = json;
  return typeof error === 'string' ? error !== '' : asRecord(error) !== undefined || isFlatError(json);
};

/** Mistral and older vLLM write the error's fields without the `error` around them. */
const isFlatError = (json: Readonly<Record<string, unknown>>): boolean => json['object'] === 'error';

/** Flat errors, those of Responses streams among them, as the table of errors expects them. */
function nested(json: unknown): unknown {
  const body = asRecord(json);
  if (!body || asRecord(body['error'])) return json;
  return isFlatError(body) || body['type'] === 'error' ? { error: body } : json;
}

/** Where the answer proper must be, by operation. */
const CONTENTS: Readonly<Record<string, readonly string[]>> = {
  chat: ['/choices/*'],
  completion: ['/choices/*'],
  embeddings: ['/data/*', '/embeddings/*'],
  moderation: ['/results/*'],
  image: ['/data/*'],
};

function readJson(json: unknown, { operation }: CallFacts, facts: AnswerFacts): JsonReading {
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

// --- streams

/** Events of the Responses API that only announce. */
const PREAMBLES: ReadonlySet<string> = new Set([
  'response.created',
  'response.queued',
  'response.in_progress',
  'keepalive',
]);

/** Announcements of parts that have nothing in them yet. */
const EMPTY_PARTS = /^response\.(output_item|content_part|reasoning_summary_part)\.added$/;

class OpenAiReader implements StreamReader {
  readonly #facts: AnswerFacts;
  #kind: 'unknown' | 'completion' | 'typed';
  error: unknown;
  unheard = false;

  constructor(call: CallFacts, facts: AnswerFacts) {
    this.#facts = facts;
    this.#kind =
      call.operation === 'chat' || call.operation === 'completion'
        ? 'completion'
        : call.operation === 'responses'
          ? 'typed'
          : 'unknown';
  }

  /** Other endpoints stream, too; what their last event is, nobody promised. */
  get hasTerminator(): boolean {
    return this.#kind !== 'unknown';
  }

  read(event: string, data: string): StreamSignal {
    if (data.startsWith('[DONE]')) return 'end';
    // The answer flows, and this event says nothing else: the way of nearly all events, so it is kept short.
    if (this.#facts.firstTokenAt !== undefined && this.#isPlainDelta(event, data)) return 'pass';
    const json = jsonOf(data);
    const body = asRecord(json);
    // Of an event with whole pictures in it, only the name may be legible.
    if (!body) return event.startsWith('response.') ? this.#typed(event, {}, undefined) : 'malformed';
    if (event === 'error' || body['type'] === 'error' || hasTopLevelError(body)) {
      this.error = json;
      this.unheard = event !== 'error' && isFlatError(body);
      return 'error';
    }
    const { type } = body;
    if (typeof type === 'string' && !('choices' in body)) return this.#typed(type, body, json);
    note(this.#facts, body);
    return this.#completion(body);
  }

  /** Nothing in it but a piece of the answer. Errs on the side of reading. */
  #isPlainDelta(event: string, data: string): boolean {
    if (!data.endsWith('}')) return false;
    if (this.#kind === 'completion') return event === '' && !SAYS_MORE.test(data);
    return this.#kind === 'typed' && event.startsWith('response.') && event.endsWith('.delta');
  }

  #completion(body: Readonly<Record<string, unknown>>): StreamSignal {
    if (this.#kind === 'unknown' && Array.isArray(body['choices'])) this.#kind = 'completion';
    if (valuesAt(body, '/choices/*/error').some((error) => asRecord(error))) {
      this.error = { error: valuesAt(body, '/choices/*/error')[0] };
      return 'error';
    }
    return valuesAt(body, '/choices/*').some(isContent) ? 'content' : 'pass';
  }

  #typed(type: string, body: Readonly<Record<string, unknown>>, json: unknown): StreamSignal {
    if (!type.startsWith('response.')) return this.#kind === 'unknown' ? 'content' : 'pass';
    this.#kind = 'typed';
    const response = asRecord(body['response']);
    if (response) note(this.#facts, response);
    if (type === 'response.failed') {
      this.error = response ?? json;
      return 'error';
    }
    if (type === 'response.completed' || type === 'response.incomplete') {
      this.#facts.finishReason = type.slice('response.'.length);
      return 'end';
    }
    return PREAMBLES.has(type) || EMPTY_PARTS.test(type) ? 'pass' : 'content';
  }
}

/** OpenRouter puts an `error` beside `choices`; a null there is none. */
const hasTopLevelError = (body: Readonly<Record<string, unknown>>): boolean =>
  typeof body['type'] !== 'string' && hasError(body);

/**
 * Whatever else a chunk may say, by how its keys end: `error`, `usage`, `finish_reason`. One short pattern: a search for each
 * would cost more than the rest of the tap.
 */
const SAYS_MORE = /ror"|ge": ?\{|son": ?"/;

/** A token, a tool call, a refusal, reasoning, or the end of a choice; not the role that comes first. */
function isContent(choice: unknown): boolean {
  const one = asRecord(choice);
  if (!one) return false;
  if (typeof one['finish_reason'] === 'string') return true;
  if (typeof one['text'] === 'string' && one['text'] !== '') return true;
  const delta = asRecord(one['delta']);
  return (
    delta !== undefined &&
    Object.entries(delta).some(([name, value]) => name !== 'role' && name !== 'name' && isSomething(value))
  );
}

const isSomething = (value: unknown): boolean =>
  value !== null && value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0);

// --- what we say

const TYPE_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  404: 'invalid_request_error',
  413: 'invalid_request_error',
  429: 'rate_limit_error',
};

/** What the upstream said of itself stays: clients know its codes, such as `insufficient_quota`. */
function errorBody(error: LocalError): Record<string, unknown> {
  const said = asRecord(asRecord(nested(error.said))?.['error']);
  return {
    message: error.detail ? `${error.title} ${error.detail}` : error.title,
    type: asText(said?.['type']) ?? TYPE_OF_STATUS[error.status] ?? 'server_error',
    param: asText(said?.['param']) ?? null,
    code: asText(said?.['code']) ?? error.reason,
  };
}

const asText = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length <= MAX_CODE ? value : undefined;

/** A code is a word or two. */
const MAX_CODE = 100;

const renderError = (error: LocalError): RenderedAnswer => ({
  headers: ['content-type', 'application/json'],
  body: JSON.stringify({ error: errorBody(error) }),
});

function renderStreamError(error: LocalError): string {
  const body = errorBody(error);
  if (error.call.operation !== 'responses')
    return `event: error\ndata: ${JSON.stringify({ error: body })}\n\n`;
  // Clients disagree on where the words of an error are: they stand in both places.
  const { code, message, param } = body;
  const event = { type: 'error', sequence_number: 0, code, message, param, error: body };
  return `event: error\ndata: ${JSON.stringify(event)}\n\n`;
}

const judge = judgeBy({ errors, statusOf: bodyStatus });

export const openai: Dialect = {
  name: 'openai',
  errors,
  classify: (head, wallTime, json) => judge(head, wallTime, nested(json)),
  isStream: (head) => generic.isStream(head),
  renderError,
  readCall,
  readJson,
  follow: (call, facts) => new OpenAiReader(call, facts),
  renderStreamError,
};
