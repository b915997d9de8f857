/** Follows the streams of OpenAI's API: chunks of completions, and the typed events of Responses. */
import { valuesAt } from '../algorithms/json-pointer.ts';
import { jsonOf } from '../algorithms/utf8-text.ts';
import type { AnswerFacts, CallFacts, Continuation, StreamReader, StreamSignal } from '../core/dialect.ts';
import { withoutHeaders } from '../core/header-list.ts';
import type { RequestHead } from '../core/request.ts';
import { asNumber, asRecord } from './json-shapes.ts';
import { hasError, note } from './openai-json.ts';
import { isFlatError } from './openai-errors.ts';

/** Events of the Responses API that only announce. */
const PREAMBLES: ReadonlySet<string> = new Set([
  'response.created',
  'response.queued',
  'response.in_progress',
  'keepalive',
]);

/** Announcements of parts that have nothing in them yet. */
const EMPTY_PARTS = /^response\.(output_item|content_part|reasoning_summary_part)\.added$/;

export class OpenAiReader implements StreamReader {
  readonly #facts: AnswerFacts;
  /** Identifier of a response that goes on whether or not anybody listens. */
  #background: string | undefined;
  /** Number of the last event that was read. */
  #lastNumber: number | undefined;
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
    if (this.#kind !== 'typed' || !event.startsWith('response.') || !event.endsWith('.delta')) return false;
    const number = SEQUENCE_NUMBER.exec(data);
    if (number) this.#lastNumber = Number(number[1]);
    return true;
  }

  /** Responses API: events are numbered, and those of a stored response can be asked for again. */
  continuation(request: RequestHead): Continuation | undefined {
    const path = RESPONSES_PATH.exec(request.target);
    const id = this.#background ?? path?.[2];
    if (!path || id === undefined || this.#lastNumber === undefined) return undefined;
    const target = `${path[1]}/${id}?${withStart(path[3], this.#lastNumber)}`;
    const headers = withoutHeaders(request.headers, OF_A_BODY);
    return { request: { ...request, method: 'GET', target, headers } };
  }

  #place(
    event: Readonly<Record<string, unknown>>,
    response: Readonly<Record<string, unknown>> | undefined,
  ): void {
    if (response?.['background'] === true && typeof response['id'] === 'string')
      this.#background = encodeURIComponent(response['id']);
    this.#lastNumber = asNumber(event['sequence_number']) ?? this.#lastNumber;
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
    this.#place(body, response);
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

const SEQUENCE_NUMBER = /"sequence_number": ?(\d{1,9})/;

/** The path of the Responses API, whatever stands before it, the response that it names, and the query behind it. */
const RESPONSES_PATH = /^([^?]*\/responses)(?:\/([^/?]+))?(\?.*)?$/;

export const isResponsesPath = (target: string): boolean => RESPONSES_PATH.test(target);

function withStart(query: string | undefined, after: number): string {
  const kept = (query ?? '')
    .slice(1)
    .split('&')
    .filter((one) => one !== '' && !/^(stream|starting_after)=/.test(one));
  return [...kept, 'stream=true', `starting_after=${after}`].join('&');
}

const OF_A_BODY: ReadonlySet<string> = new Set(['content-type', 'content-encoding']);

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
