/** An answer that was found for a request, and what may be done with it now. */
import { hasValidator, isNotModified } from '../algorithms/conditional-requests.ts';
import { stalenessOf } from '../algorithms/http-freshness.ts';
import type { Demands, Staleness } from '../algorithms/http-freshness.ts';
import type { CachedAnswer, Found } from '../core/answer-store.ts';
import { BytesBody } from '../core/bytes-body.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { withoutHeaders } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { ResponseOutcome } from '../core/outcome.ts';
import type { RequestHead } from '../core/request.ts';
import { ReplayBody } from '../core/stored-answer.ts';
import { verdictOf } from '../core/verdict.ts';
import { cacheStatus } from './cache-status.ts';
import type { CacheStatus } from './cache-status.ts';
import type { Plan } from './plan.ts';

/** The operator's own times past freshness. */
export interface StaleTimes {
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
}

/** `fresh`: it will do. `refresh`: it will, and a new one is fetched. `ask`: the upstream has to say. */
export type Usability = 'fresh' | 'refresh' | 'ask';

export class Copy {
  readonly cached: CachedAnswer;
  readonly #clock: Clock;
  readonly #bornAt: number;
  readonly #staleness: Staleness;

  constructor({ shelved, heldForMs }: Found<CachedAnswer>, kind: Plan['kind'], clock: Clock) {
    this.cached = shelved;
    this.#clock = clock;
    this.#bornAt = clock.now() - heldForMs - shelved.ageMs;
    // What a model's provider says of caches is meant for browsers; the operator has said otherwise.
    this.#staleness = kind === 'http' ? stalenessOf(shelved.answer.head.headers) : YIELDING;
  }

  get ageMs(): number {
    return this.#clock.now() - this.#bornAt;
  }

  /** Freshness left; below 0 for what is stale. */
  get ttlMs(): number {
    return this.cached.freshForMs - this.ageMs;
  }

  /** It can be asked whether this is still the answer. */
  get hasValidator(): boolean {
    return hasValidator(this.cached.answer.head);
  }

  usability(demands: Demands, own: StaleTimes): Usability {
    const { ageMs, ttlMs } = this;
    if (demands.noCache || ageMs > demands.maxAgeMs) return 'ask';
    if (ttlMs > 0 && ttlMs >= demands.minFreshMs) return 'fresh';
    if (this.#staleness.forbidden || demands.minFreshMs > 0) return 'ask';
    if (-ttlMs < this.#whileRevalidateMs(own)) return 'refresh';
    return -ttlMs < demands.maxStaleMs ? 'fresh' : 'ask';
  }

  /** It may be used although the upstream could not be asked. */
  get mayBeStale(): boolean {
    return !this.#staleness.forbidden;
  }

  /** It stands in for an error of the upstream. */
  standsIn(own: StaleTimes): boolean {
    const windowMs = Math.max(own.staleIfError, this.#staleness.ifErrorMs);
    return this.mayBeStale && Math.max(0, -this.ttlMs) < windowMs;
  }

  /** The answer to such a request: whole, without its body, or that the client has it already. */
  answer(request: RequestHead, status: CacheStatus, cancellation: Cancellation): ResponseOutcome {
    const { head } = this.cached.answer;
    const own = ['age', String(Math.max(0, Math.floor(this.ageMs / 1_000)))];
    own.push('cache-status', cacheStatus({ ttlMs: this.ttlMs, ...status }));
    const reads = request.method === 'GET' || request.method === 'HEAD';
    const has = reads && isNotModified(request.headers, head);
    const answered = {
      kind: 'response',
      from: 'cache',
      verdict: verdictOf('ok'),
    } as const;
    if (has) {
      const headers = [...withoutHeaders(head.headers, OF_THE_BODY), ...own];
      return { ...answered, head: { status: 304, statusText: '', headers }, body: new BytesBody(NO_BYTES) };
    }
    return {
      ...answered,
      head: { ...head, headers: [...head.headers, ...own] },
      body:
        request.method === 'HEAD'
          ? new BytesBody(NO_BYTES)
          : new ReplayBody(this.cached.answer, cancellation),
    };
  }

  #whileRevalidateMs(own: StaleTimes): number {
    return Math.max(own.staleWhileRevalidate, this.#staleness.whileRevalidateMs);
  }
}

const YIELDING: Staleness = { forbidden: false, whileRevalidateMs: 0, ifErrorMs: 0 };

const NO_BYTES = new Uint8Array(0);

/** What a 304 does not repeat (RFC 9110 §15.4.5). */
const OF_THE_BODY: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-language',
  'content-length',
  'content-type',
  'trailer',
  'transfer-encoding',
]);

/** What an answer says of the moment, or to its first client alone: it would be wrong of a copy. */
const OF_THE_MOMENT =
  /^(age|set-cookie2?|retry-after(-ms)?|server-timing|x-outrigger-.*|(x-|anthropic-)?ratelimit(-.*)?)$/i;

/** The fields that a copy keeps. */
export function lastingHeaders(headers: HeaderList): HeaderList {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2)
    if (!OF_THE_MOMENT.test(headers[i] as string)) kept.push(headers[i] as string, headers[i + 1] as string);
  return kept;
}
