/**
 * What RFC 9111 allows a shared cache to keep, and for how long it may be used without asking. Instants of the wall clock
 * are passed in; ages and lifetimes are milliseconds.
 */
import { headerValue, headerValues, hasHeader } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { ResponseHead } from '../core/outcome.ts';
import { CacheControl } from './cache-control.ts';
import { httpDate } from './http-date.ts';

/** Statuses whose answers are good for later requests, too, where nothing says otherwise (RFC 9110 §15.1). */
const REUSABLE: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308]);
/** Those that are where something says so. */
const REUSABLE_IF_STATED: ReadonlySet<number> = new Set([302, 303, 307]);

/** Why an answer is for one request only. */
export type Unshareable = 'status' | 'no-store' | 'private' | 'vary' | 'set-cookie';

export const cacheControlOf = (headers: HeaderList): CacheControl =>
  new CacheControl(headerValues(headers, 'cache-control'));

/** Lower-case names of the request's fields that an answer depends on, sorted; `*` where nobody can know. */
export function varyOf(headers: HeaderList): readonly string[] {
  if (!hasHeader(headers, 'vary')) return [];
  const names = headerValues(headers, 'vary').flatMap((value) => value.split(','));
  return [...new Set(names.map((name) => name.trim().toLowerCase()).filter((name) => name !== ''))].sort();
}

/** Whether others may have the answer to a GET, too; undefined: they may (RFC 9111 §3). */
export function whyUnshareable({ status, headers }: ResponseHead): Unshareable | undefined {
  const control = cacheControlOf(headers);
  if (control.has('no-store')) return 'no-store';
  if (control.has('private')) return 'private';
  if (varyOf(headers).includes('*')) return 'vary';
  if (hasHeader(headers, 'set-cookie')) return 'set-cookie';
  if (REUSABLE.has(status) && !hasHeader(headers, 'content-range')) return undefined;
  return REUSABLE_IF_STATED.has(status) && statedMs(headers, 0) !== undefined ? undefined : 'status';
}

/** What an operator says of answers; theirs is the last word on time. */
export interface LifetimeRules {
  /** For answers that say nothing of it themselves; undefined: these are not fresh at all. */
  readonly ttlMs?: number | undefined;
  /** `ttlMs` counts whatever they say. */
  readonly overrides: boolean;
}

export interface Lifetime {
  /** Age of the answer when it came. */
  readonly ageMs: number;
  /** Age up to which it may be used without asking. */
  readonly freshForMs: number;
}

/**
 * @param received instant at which the answer's head came, in milliseconds since 1970, and how long after the request
 * @see RFC 9111 §4.2.1, §4.2.3. No lifetime is guessed from Last-Modified.
 */
export function lifetimeOf(
  headers: HeaderList,
  rules: LifetimeRules,
  received: { readonly atMs: number; readonly tookMs: number },
): Lifetime {
  const ageMs = initialAge(headers, received);
  const { ttlMs, overrides } = rules;
  // An operator's time begins when the answer comes.
  const ownMs = ttlMs === undefined ? 0 : ageMs + ttlMs;
  if (overrides && ttlMs !== undefined) return { ageMs, freshForMs: ownMs };
  if (cacheControlOf(headers).has('no-cache')) return { ageMs, freshForMs: 0 };
  return { ageMs, freshForMs: statedMs(headers, received.atMs) ?? ownMs };
}

/** The lifetime that an answer states; undefined where it states none. */
function statedMs(headers: HeaderList, receivedAtMs: number): number | undefined {
  const control = cacheControlOf(headers);
  const directive = control.ms('s-maxage') ?? control.ms('max-age');
  if (directive !== undefined) return directive;
  if (!hasHeader(headers, 'expires')) return undefined;
  // Dates that cannot be read, such as "0", are past.
  const expires = Math.min(...headerValues(headers, 'expires').map((value) => httpDate(value) ?? 0));
  return Math.max(0, expires - (dateOf(headers) ?? receivedAtMs));
}

function initialAge(headers: HeaderList, { atMs, tookMs }: { atMs: number; tookMs: number }): number {
  const told = new CacheControl([`age=${headerValue(headers, 'age') ?? '0'}`]).ms('age') ?? 0;
  const apparent = Math.max(0, atMs - (dateOf(headers) ?? atMs));
  return Math.max(apparent, told + tookMs);
}

const dateOf = (headers: HeaderList): number | undefined => httpDate(headerValue(headers, 'date') ?? '');

export interface Staleness {
  /** It must not be used without asking, whatever an operator says. */
  readonly forbidden: boolean;
  /** Time past its freshness for which it may be used while a new one is fetched (RFC 5861). */
  readonly whileRevalidateMs: number;
  /** Time past its freshness for which it may stand in for an error (RFC 5861). */
  readonly ifErrorMs: number;
}

/** What an answer itself says about being used past its time (RFC 9111 §4.2.4). */
export function stalenessOf(headers: HeaderList): Staleness {
  const control = cacheControlOf(headers);
  const sworn = ['must-revalidate', 'proxy-revalidate', 'no-cache'].some((name) => control.has(name));
  const whileRevalidateMs = sworn ? 0 : (control.ms('stale-while-revalidate') ?? 0);
  const ifErrorMs = sworn ? 0 : (control.ms('stale-if-error') ?? 0);
  // s-maxage alone forbids it as well, unless the answer states an exception of its own.
  const forbidden = sworn || (control.has('s-maxage') && whileRevalidateMs + ifErrorMs === 0);
  return { forbidden, whileRevalidateMs, ifErrorMs };
}

/** What a request demands of a cache (RFC 9111 §5.2.1). */
export interface Demands {
  readonly noStore: boolean;
  /** Nothing stored may be used without asking. */
  readonly noCache: boolean;
  readonly onlyIfCached: boolean;
  readonly maxAgeMs: number;
  readonly minFreshMs: number;
  /** Time past its freshness for which an answer will do. */
  readonly maxStaleMs: number;
}

const NO_DEMANDS: Demands = {
  noStore: false,
  noCache: false,
  onlyIfCached: false,
  maxAgeMs: Number.POSITIVE_INFINITY,
  minFreshMs: 0,
  maxStaleMs: 0,
};

export function demandsOf(headers: HeaderList): Demands {
  if (!hasHeader(headers, 'cache-control')) {
    const pragma = headerValue(headers, 'pragma');
    return pragma?.toLowerCase().includes('no-cache') ? { ...NO_DEMANDS, noCache: true } : NO_DEMANDS;
  }
  const control = cacheControlOf(headers);
  return {
    noStore: control.has('no-store'),
    noCache: control.has('no-cache'),
    onlyIfCached: control.has('only-if-cached'),
    maxAgeMs: control.ms('max-age') ?? Number.POSITIVE_INFINITY,
    minFreshMs: control.ms('min-fresh') ?? 0,
    maxStaleMs: control.hasBare('max-stale') ? Number.POSITIVE_INFINITY : (control.ms('max-stale') ?? 0),
  };
}
