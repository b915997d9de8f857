/** Which answers are kept, and for how long: the rules of RFC 9111 with the operator's word beside them. */
import { hasValidator } from '../algorithms/conditional-requests.ts';
import {
  cacheControlOf,
  lifetimeOf,
  stalenessOf,
  varyOf,
  whyUnshareable,
} from '../algorithms/http-freshness.ts';
import type { Lifetime, Unshareable } from '../algorithms/http-freshness.ts';
import type { Exchange } from '../core/exchange.ts';
import { headerValue } from '../core/header-list.ts';
import type { ResponseHead, ResponseOutcome } from '../core/outcome.ts';
import type { CacheOptions } from '../schema/cache.ts';
import type { Plan } from './plan.ts';

/**
 * What became of an answer. `forbidden`: it may not be kept, by its headers or its status. `not-fresh`: it would be of no
 * use. `not-good`: it broke off, was empty, or an error. `outdated`: what was asked for has changed meanwhile.
 */
export type KeepResult = 'stored' | 'forbidden' | 'not-fresh' | 'too-large' | 'not-good' | 'outdated';

/** When an answer's head came: monotonic, and in milliseconds since 1970; and how long after it was asked for. */
export interface Receipt {
  readonly at: number;
  readonly atMs: number;
  readonly tookMs: number;
}

/** What is decided when an answer's head is here. */
export interface Decision {
  /** Undefined: it is kept, if it ends well. */
  readonly against: KeepResult | undefined;
  /** Others who wait for it may have it, kept or not. */
  readonly shareable: boolean;
  readonly lifetime: Lifetime;
  readonly keepForMs: number;
}

export function decide(
  plan: Plan,
  { exchange, outcome, receipt }: { exchange: Exchange; outcome: ResponseOutcome; receipt: Receipt },
  options: CacheOptions,
): Decision {
  const { head, verdict } = outcome;
  const lifetime = lifetimeBy(plan, head, receipt);
  const keepForMs = keepTimeOf(plan, { head, lifetime }, options);
  const why = isForOne(plan, exchange, outcome) ? 'status' : whyNot(plan, head);
  const good = verdict.class === 'ok';
  const against = good ? reasonAgainst(why, { keepForMs, head }, options) : 'not-good';
  // An error is the same for all who asked at the same time.
  const shareable = why === undefined || (why === 'status' && !good);
  return { against, shareable, lifetime, keepForMs };
}

function reasonAgainst(
  why: Unshareable | undefined,
  { keepForMs, head }: { keepForMs: number; head: ResponseHead },
  { maxEntryBytes }: CacheOptions,
): KeepResult | undefined {
  if (why !== undefined) return 'forbidden';
  if (keepForMs <= 0) return 'not-fresh';
  return Number(headerValue(head.headers, 'content-length') ?? 0) > maxEntryBytes ? 'too-large' : undefined;
}

/** Without a body to keep, or one that is about what happens from now on. */
function isForOne({ kind }: Plan, { request, upstream, call }: Exchange, outcome: ResponseOutcome): boolean {
  if (outcome.tunnel || request.method === 'HEAD') return true;
  return kind === 'http' && upstream.dialect.isStream(outcome.head, call);
}

/** Why it must not be kept; undefined: it may. */
export function whyNot({ kind }: Plan, head: ResponseHead): Unshareable | undefined {
  const { headers } = head;
  if (kind !== 'http' && head.status !== 200) return 'status';
  if (kind !== 'model') return whyUnshareable(head);
  if (cacheControlOf(headers).has('no-store')) return 'no-store';
  return varyOf(headers).includes('*') ? 'vary' : undefined;
}

export const lifetimeBy = ({ rules }: Plan, { headers }: ResponseHead, receipt: Receipt): Lifetime =>
  lifetimeOf(headers, rules, receipt);

/** How long anybody may want it. */
export function keepTimeOf(
  { kind }: Plan,
  { head, lifetime }: { head: ResponseHead; lifetime: Lifetime },
  { keepStale, staleWhileRevalidate, staleIfError }: CacheOptions,
): number {
  const freshMs = Math.max(0, lifetime.freshForMs - lifetime.ageMs);
  const own = stalenessOf(head.headers);
  if (kind === 'http' && own.forbidden) return hasValidator(head) ? freshMs + keepStale : freshMs;
  const stale = [keepStale, staleWhileRevalidate, staleIfError, own.whileRevalidateMs, own.ifErrorMs];
  return freshMs + Math.max(...stale);
}
