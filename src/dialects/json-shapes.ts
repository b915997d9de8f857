/** Small readers of JSON that nobody has checked, shared by the dialects. */
import { valuesAt } from '../algorithms/json-pointer.ts';
import type { CallFacts } from '../core/dialect.ts';

export function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** More than anybody counts: it is a mistake, and sums of it would be none. */
const MAX_NUMBER = 1e12;

export const asNumber = (value: unknown): number | undefined =>
  typeof value === 'number' && value >= 0 && value <= MAX_NUMBER ? value : undefined;

/** The status that an error names for itself, in the places where providers put numbers. */
export function bodyStatus(json: unknown): number | undefined {
  for (const place of ['/error/code', '/error/status', '/code', '/error/metadata/status']) {
    const [value] = valuesAt(json, place);
    const status = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value;
    if (typeof status === 'number' && Number.isInteger(status) && status >= 400 && status <= 599)
      return status;
  }
  return undefined;
}

/** By hand: the pattern for it takes quadratic time where there are many. */
export function withoutEndSlashes(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === '/') end -= 1;
  return path.slice(0, end);
}

/** The last segments of a target's path, without its query. */
export function lastPathOf(target: string, segments: number): string {
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  return withoutEndSlashes(path).split('/').slice(-segments).join('/');
}

/** What a protocol finds in a body that was parsed; undefined where it is not here or no JSON. */
export interface CallQuestions {
  readonly repeat: (json: unknown) => CallFacts['repeat'];
  readonly needs?: (json: unknown) => readonly string[];
}

/** What a request asks for beyond text, by the places where it says so. */
export type Needs = Readonly<Record<string, readonly string[]>>;

export const needsIn = (json: unknown, needs: Needs): readonly string[] =>
  Object.entries(needs)
    .filter(([, places]) => places.some((place) => valuesAt(json, place).length > 0))
    .map(([need]) => need);

/**
 * A call whose body is parsed when somebody asks for what stands in it: prompts are large, and most calls go well without
 * anybody asking.
 */
export class LazyCall implements CallFacts {
  readonly operation: string | undefined;
  readonly tool = undefined;
  readonly id = undefined;
  readonly #json: () => unknown;
  readonly #questions: CallQuestions;
  #parsed: { readonly json: unknown } | undefined;

  constructor(operation: string | undefined, json: () => unknown, questions: CallQuestions) {
    this.operation = operation;
    this.#json = json;
    this.#questions = questions;
  }

  get model(): string | undefined {
    const model = this.#field('model');
    return typeof model === 'string' ? model : undefined;
  }

  get stream(): boolean {
    return this.#field('stream') === true;
  }

  get maxTokens(): number | undefined {
    const names = ['max_completion_tokens', 'max_output_tokens', 'max_tokens'];
    return names.map((name) => asNumber(this.#field(name))).find((most) => most !== undefined);
  }

  get repeat(): CallFacts['repeat'] {
    return this.#questions.repeat(this.#body);
  }

  get needs(): readonly string[] {
    return this.#questions.needs?.(this.#body) ?? [];
  }

  get #body(): unknown {
    // Asked for too early, before all of it has come, it is asked for again.
    if (this.#parsed?.json === undefined) this.#parsed = { json: this.#json() };
    return this.#parsed.json;
  }

  #field(name: string): unknown {
    return asRecord(this.#body)?.[name];
  }
}
