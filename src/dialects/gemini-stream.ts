/** Reads Gemini's answers: whole ones, and the chunks of a stream, which have the same shape. */
import { textAt, valuesAt } from '../algorithms/json-pointer.ts';
import { jsonOf } from '../algorithms/utf8-text.ts';
import type { AnswerFacts, CallFacts, StreamReader, StreamSignal, Usage } from '../core/dialect.ts';
import { asNumber, asRecord } from './json-shapes.ts';

type Json = Readonly<Record<string, unknown>>;

export const errorOf = (body: Json): Json | undefined => asRecord(body['error']);

/** Thoughts are counted beside the candidates, results of tools beside the prompt. */
function usageOf(usage: Json | undefined): Usage | undefined {
  const prompt = asNumber(usage?.['promptTokenCount']);
  const candidates = asNumber(usage?.['candidatesTokenCount']);
  if (prompt === undefined && candidates === undefined) return undefined;
  const reasoning = asNumber(usage?.['thoughtsTokenCount']) ?? 0;
  return {
    input: (prompt ?? 0) + (asNumber(usage?.['toolUsePromptTokenCount']) ?? 0),
    cached: asNumber(usage?.['cachedContentTokenCount']) ?? 0,
    output: (candidates ?? 0) + reasoning,
    reasoning,
  };
}

export function note(facts: AnswerFacts, body: Json): void {
  const { modelVersion } = body;
  if (typeof modelVersion === 'string') facts.model = modelVersion;
  const usage = usageOf(asRecord(body['usageMetadata']));
  if (usage) facts.usage = usage;
  const finish = finishOf(body);
  if (finish !== undefined) facts.finishReason = finish;
}

const finishOf = (body: Json): string | undefined =>
  textAt(body, '/candidates/0/finishReason') ?? textAt(body, '/promptFeedback/blockReason');

/**
 * Whether there is an answer in it: content, or a reason why there is none. STOP alone is no reason: the model is known to
 * end with nothing said where it should have answered.
 */
export const saysSomething = (body: Json): boolean => {
  const finish = finishOf(body);
  return (finish !== undefined && finish !== 'STOP') || hasContent(body);
};

const hasContent = (body: Json): boolean => valuesAt(body, '/candidates/*/content/parts/*').some(isContent);

/** What says of a part how it is to be taken, and nothing itself. */
const ABOUT_PARTS: ReadonlySet<string> = new Set(['thought', 'thoughtSignature']);

/** Thoughts are content. */
const isContent = (part: unknown): boolean =>
  Object.entries(asRecord(part) ?? {}).some(
    ([name, value]) => !ABOUT_PARTS.has(name) && value !== '' && value !== null,
  );

export class GeminiReader implements StreamReader {
  readonly #facts: AnswerFacts;
  #known: boolean;
  /** Candidates that have begun, and whether they have ended. */
  readonly #candidates = new Map<unknown, boolean>();
  error: unknown;

  constructor({ operation }: CallFacts, facts: AnswerFacts) {
    this.#facts = facts;
    this.#known = operation === 'streamGenerateContent';
  }

  /** There is no event for the end, but the last event of each candidate says why it is the last. */
  get hasTerminator(): boolean {
    return this.#known;
  }

  read(_event: string, data: string): StreamSignal {
    // The answer flows, and this chunk says nothing else: the way of nearly all, so it is kept short.
    if (this.#flows && isPlainChunk(data)) return 'pass';
    const json = jsonOf(data);
    const body = asRecord(json);
    if (!body) return 'malformed';
    if (errorOf(body)) {
      this.error = json;
      return 'error';
    }
    return this.#chunk(body);
  }

  /** Its only candidate is under way. Chunks of several must be told apart. */
  get #flows(): boolean {
    return (
      this.#facts.firstTokenAt !== undefined &&
      this.#candidates.size === 1 &&
      this.#candidates.values().next().value === false
    );
  }

  #chunk(body: Json): StreamSignal {
    for (const candidate of valuesAt(body, '/candidates/*')) this.#candidate(asRecord(candidate));
    const content = hasContent(body);
    if (content) this.#known = true;
    const blocked = textAt(body, '/promptFeedback/blockReason') !== undefined;
    const ended = blocked || this.#allEnded;
    // Nothing said and no reason given is no answer.
    if (content || this.#facts.firstTokenAt !== undefined || saysSomething(body)) note(this.#facts, body);
    if (ended) return 'end';
    return content ? 'content' : 'pass';
  }

  #candidate(candidate: Json | undefined): void {
    if (!candidate) return;
    this.#candidates.set(candidate['index'] ?? 0, typeof candidate['finishReason'] === 'string');
  }

  get #allEnded(): boolean {
    return this.#candidates.size > 0 && [...this.#candidates.values()].every((ended) => ended);
  }
}

/** Errs on the side of reading. */
const isPlainChunk = (data: string): boolean =>
  data.startsWith('{') &&
  data.endsWith('}') &&
  !data.includes('"finishReason"') &&
  !data.includes('"blockReason"') &&
  !data.includes('"error"') &&
  !/"index": ?[1-9]/.test(data);
