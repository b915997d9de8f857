/**
 * The fields `RateLimit-Policy` and `RateLimit` of a refusal: which limits there are, and how those stand that refused.
 * @see draft-ietf-httpapi-ratelimit-headers-10; RFC 9651
 */
import type { HeaderList } from '../core/header-list.ts';
import type { Level } from '../core/limit-store.ts';

export interface AnsweredLimit {
  /** Printable ASCII. */
  readonly name: string;
  readonly unit: 'requests' | 'tokens';
  /** What comes back in `perMs`. */
  readonly amount: number;
  readonly perMs: number;
}

/** @param levels of each limit, in order; those that made no call wait are left out of `RateLimit` */
export function rateLimitHeaders(limits: readonly AnsweredLimit[], levels: readonly Level[]): HeaderList {
  const short = limits.flatMap(({ name }, index) => {
    const { remaining, waitMs } = levels[index] ?? { remaining: 0, waitMs: 0 };
    if (waitMs === 0) return [];
    return [`${quoted(name)};r=${whole(remaining)};t=${Math.ceil(waitMs / 1_000)}`];
  });
  const fields = ['ratelimit-policy', limits.map(policyOf).join(', ')];
  return short.length === 0 ? fields : [...fields, 'ratelimit', short.join(', ')];
}

/** Windows are whole seconds: a shorter one is told as a second's worth. */
function policyOf({ name, unit, amount, perMs }: AnsweredLimit): string {
  const seconds = Math.max(1, Math.round(perMs / 1_000));
  const quota = Math.max(1, Math.floor((amount * seconds * 1_000) / perMs));
  const inTokens = unit === 'tokens' ? ';qu="tokens"' : '';
  return `${quoted(name)};q=${whole(quota)}${inTokens};w=${seconds}`;
}

const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

/** Integers of structured fields have 15 digits at most. */
const whole = (value: number): number => Math.min(999_999_999_999_999, Math.max(0, Math.floor(value)));
