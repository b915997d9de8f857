/** Follows the events of an Anthropic answer. */
import { jsonOf, utf8Text } from '../algorithms/utf8-text.ts';
import type { AnswerFacts, CallFacts, StreamReader, StreamSignal, Usage } from '../core/dialect.ts';
import { asNumber, asRecord } from './json-shapes.ts';

type Json = Readonly<Record<string, unknown>>;

/** Tokens of the cache are counted beside `input_tokens`, not in it. */
export function usageOf(usage: Json | undefined): Usage | undefined {
  if (!usage) return undefined;
  const input = asNumber(usage['input_tokens']);
  const output = asNumber(usage['output_tokens']);
  if (input === undefined && output === undefined) return undefined;
  const cached = asNumber(usage['cache_read_input_tokens']) ?? 0;
  return {
    input: (input ?? 0) + cached + (asNumber(usage['cache_creation_input_tokens']) ?? 0),
    cached,
    output: output ?? 0,
    reasoning: asNumber(asRecord(usage['output_tokens_details'])?.['thinking_tokens']) ?? 0,
  };
}

/** Kinds of blocks that begin empty and are filled by deltas; a block of any other kind says something by beginning. */
const FILLED_LATER: ReadonlySet<unknown> = new Set(['text', 'thinking']);

export class AnthropicReader implements StreamReader {
  readonly #facts: AnswerFacts;
  #known: boolean;
  /** The counts so far: later events repeat some, and add others. */
  #usage: Json = {};
  error: unknown;

  constructor({ operation }: CallFacts, facts: AnswerFacts) {
    this.#facts = facts;
    this.#known = operation === 'messages' || operation === 'complete';
  }

  /** Other endpoints stream, too; what their last event is, nobody promised. */
  get hasTerminator(): boolean {
    return this.#known;
  }

  read(event: string, data: string): StreamSignal {
    // The answer flows, and this event can say nothing else: the way of nearly all events, so it is kept short.
    if (this.#facts.firstTokenAt !== undefined && isPlainDelta(event, data)) return 'pass';
    const body = asRecord(jsonOf(data));
    if (event === 'error' || body?.['type'] === 'error') {
      this.error = body ?? { type: 'error', error: { message: utf8Text(data) } };
      return 'error';
    }
    if (!body) return 'malformed';
    const type = typeof body['type'] === 'string' ? body['type'] : event;
    return this.#typed(type, body);
  }

  #typed(type: string, body: Json): StreamSignal {
    switch (type) {
      case 'message_start':
        this.#known = true;
        this.#note(asRecord(body['message']));
        return 'pass';
      case 'content_block_start':
        return beginsWithContent(asRecord(body['content_block'])) ? 'content' : 'pass';
      case 'content_block_delta':
        return isSaying(asRecord(body['delta'])) ? 'content' : 'pass';
      case 'message_delta':
        this.#count(asRecord(body['usage']));
        return this.#finish(asRecord(body['delta'])) ? 'content' : 'pass';
      case 'message_stop':
        return 'end';
      case 'completion':
        return this.#completion(body);
      default:
        // Pings, ends of blocks, and what may be added: clients are told to ignore what they do not know.
        return 'pass';
    }
  }

  /** Legacy completions: the last one says why. */
  #completion(body: Json): StreamSignal {
    this.#note(body);
    if (this.#finish(body)) return 'end';
    return isSomething(body['completion']) ? 'content' : 'pass';
  }

  #note(message: Json | undefined): void {
    if (typeof message?.['model'] === 'string') this.#facts.model = message['model'];
    this.#count(asRecord(message?.['usage']));
  }

  #count(usage: Json | undefined): void {
    if (!usage) return;
    const told = Object.entries(usage).filter(([, value]) => value !== null);
    this.#usage = { ...this.#usage, ...Object.fromEntries(told) };
    const counted = usageOf(this.#usage);
    if (counted) this.#facts.usage = counted;
  }

  #finish(body: Json | undefined): boolean {
    const reason = body?.['stop_reason'];
    if (typeof reason !== 'string') return false;
    this.#facts.finishReason = reason;
    return true;
  }
}

/** Errs on the side of reading. */
const isPlainDelta = (event: string, data: string): boolean =>
  event === 'content_block_delta' && data.startsWith('{"type":"content_block_delta"') && data.endsWith('}');

function beginsWithContent(block: Json | undefined): boolean {
  if (!block) return false;
  const { type } = block;
  return !FILLED_LATER.has(type) || isSomething(block['text']) || isSomething(block['thinking']);
}

/** An empty delta opens a block, as some do; no word has come. */
const isSaying = (delta: Json | undefined): boolean =>
  delta !== undefined && Object.entries(delta).some(([name, value]) => name !== 'type' && isSomething(value));

const isSomething = (value: unknown): boolean => value !== null && value !== undefined && value !== '';
