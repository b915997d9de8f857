/**
 * What an answer says about its provider's rate limits, in every form that providers use: OpenAI's and its kin's
 * `x-ratelimit-…-requests|tokens`, Anthropic's `anthropic-ratelimit-…`, plain `x-ratelimit-…` and `ratelimit-…`, and the
 * structured fields `RateLimit` and `RateLimit-Policy`.
 * @see draft-ietf-httpapi-ratelimit-headers-10, and its drafts 3 to 7 for the older form of the same field
 */
import type { HeaderList } from '../core/header-list.ts';
import { parseCount, structuredLimit } from './rate-limit-fields.ts';

export const DIMENSIONS = ['requests', 'tokens', 'input-tokens', 'output-tokens'] as const;

/** What is limited. */
export type Dimension = (typeof DIMENSIONS)[number];

export interface LimitReading {
  /** What a window allows; undefined where it is not said. */
  readonly limit: number | undefined;
  /** What is left of it. */
  readonly remaining: number;
  /** Milliseconds until all of it is there again; undefined where it is not said. */
  readonly resetInMs: number | undefined;
}

export type RateLimitReading = ReadonlyMap<Dimension, LimitReading>;

/** Longer waits are mistakes of unit or clock. */
const MAX_RESET_MS = 366 * 24 * 3_600_000;

interface Parts {
  limit?: number;
  remaining?: number;
  resetInMs?: number;
}

/** Forms of the field for all requests, the most telling last; it wins. */
const FORMS = ['ratelimit-', 'x-ratelimit-', 'structured', 'named'] as const;
type Form = (typeof FORMS)[number];

const NAMED = /^x-ratelimit-(limit|remaining|reset)-(requests|tokens)$/;
const ANTHROPIC =
  /^anthropic-ratelimit-(requests|tokens|input-tokens|output-tokens)-(limit|remaining|reset)$/;
const PLAIN = /^(x-ratelimit-|ratelimit-)(limit|remaining|reset)$/;

/**
 * @param wallMs wall time in milliseconds since 1970, for resets that are instants; the answer's own `Date` is preferred,
 *   for clocks differ
 * @returns undefined when nothing is said. Never throws, whatever the fields hold: what makes no sense is not read.
 */
export function readRateLimits(headers: HeaderList, wallMs: number): RateLimitReading | undefined {
  let found: Collected | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    const name = (headers[i] as string).toLowerCase();
    if (!name.includes('ratelimit')) continue;
    found ??= new Collected(serverTime(headers) ?? wallMs);
    found.add(name, headers[i + 1] as string);
  }
  const reading = found?.reading();
  return reading && reading.size > 0 ? reading : undefined;
}

class Collected {
  readonly #wallMs: number;
  readonly #parts = new Map<Dimension, Map<Form, Parts>>();
  /** Values of the structured fields; each may come on several lines. */
  readonly #structured: string[] = [];
  readonly #policies: string[] = [];

  constructor(wallMs: number) {
    this.#wallMs = wallMs;
  }

  add(name: string, value: string): void {
    const named = NAMED.exec(name);
    if (named) return this.#set(named[2] as Dimension, 'named', [named[1] as Field, value]);
    const anthropic = ANTHROPIC.exec(name);
    if (anthropic) return this.#set(anthropic[1] as Dimension, 'named', [anthropic[2] as Field, value]);
    const plain = PLAIN.exec(name);
    if (plain) return this.#set('requests', plain[1] as Form, [plain[2] as Field, value]);
    if (name === 'ratelimit') this.#structured.push(value);
    else if (name === 'ratelimit-policy') this.#policies.push(value);
  }

  reading(): RateLimitReading {
    this.#addStructured();
    const all = new Map<Dimension, LimitReading>();
    for (const [dimension, forms] of this.#parts) {
      const best = FORMS.findLast((form) => forms.get(form)?.remaining !== undefined);
      const { limit, remaining = 0, resetInMs } = (best && forms.get(best)) ?? { limit: 0 };
      // A limit of 0 is how some say that there is none.
      if (limit !== 0) all.set(dimension, { limit, remaining, resetInMs });
    }
    return all;
  }

  #set(dimension: Dimension, form: Form, [field, text]: readonly [Field, string]): void {
    const parts = this.#partsOf(dimension, form);
    const number = field === 'reset' ? parseReset(text, this.#wallMs) : parseCount(text);
    if (number !== undefined) parts[PART_OF[field]] = number;
  }

  #partsOf(dimension: Dimension, form: Form): Parts {
    const forms = this.#parts.get(dimension) ?? new Map<Form, Parts>();
    this.#parts.set(dimension, forms);
    const parts = forms.get(form) ?? {};
    forms.set(form, parts);
    return parts;
  }

  #addStructured(): void {
    if (this.#structured.length === 0) return;
    const found = structuredLimit(this.#structured.join(','), this.#policies.join(','));
    if (!found) return;
    const parts = this.#partsOf('requests', 'structured');
    parts.remaining = found.remaining;
    if (found.limit !== undefined) parts.limit = found.limit;
    if (found.resetSeconds !== undefined)
      parts.resetInMs = Math.min(MAX_RESET_MS, found.resetSeconds * 1_000);
  }
}

type Field = 'limit' | 'remaining' | 'reset';

const PART_OF = { limit: 'limit', remaining: 'remaining', reset: 'resetInMs' } as const;

const MS_PER_UNIT: Readonly<Record<string, number>> = {
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6,
};

const DURATION = /^(?:\d{1,12}(?:\.\d{1,9})?(?:d|h|ms|m|s|us|µs|ns))+$/;
const DURATION_PART = /(\d+(?:\.\d+)?)(d|h|ms|m|s|us|µs|ns)/g;
const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** Plain numbers from here on are instants: as a duration it would be thirty years. */
const FIRST_EPOCH_SECOND = 1e9;
const FIRST_EPOCH_MS = 1e11;

/**
 * Milliseconds until a reset: `120ms`, `6m0s`, seconds, seconds or milliseconds since 1970, RFC 3339. An instant that has
 * passed is 0. Undefined for anything else, and for more than a year.
 */
export function parseReset(text: string, wallMs: number): number | undefined {
  const trimmed = text.trim();
  const ms = RFC_3339.test(trimmed)
    ? Date.parse(trimmed) - wallMs
    : (parseDuration(trimmed) ?? parseNumber(trimmed, wallMs));
  return ms === undefined || Number.isNaN(ms) || ms > MAX_RESET_MS ? undefined : Math.max(0, ms);
}

function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  return [...text.matchAll(DURATION_PART)].reduce(
    (sum, [, amount, unit = '']) => sum + Number(amount) * (MS_PER_UNIT[unit] ?? 0),
    0,
  );
}

function parseNumber(text: string, wallMs: number): number | undefined {
  const number = parseCount(text);
  if (number === undefined) return undefined;
  if (number >= FIRST_EPOCH_MS) return number - wallMs;
  return number >= FIRST_EPOCH_SECOND ? number * 1_000 - wallMs : number * 1_000;
}

/** What the answer's own clock says; its resets that are instants are meant by it. */
function serverTime(headers: HeaderList): number | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if ((headers[i] as string).toLowerCase() !== 'date') continue;
    const text = headers[i + 1] as string;
    const at = text.endsWith(' GMT') ? Date.parse(text) : Number.NaN;
    return Number.isNaN(at) ? undefined : at;
  }
  return undefined;
}
