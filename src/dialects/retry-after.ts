/** How long an upstream asks us to wait, in every form that upstreams use. */
import { headerValue } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';

/** A date that cannot be meant: more than a year of waiting is a clock or unit mistake. */
const MAX_DELAY_MS = 366 * 24 * 3_600_000;

/** The three forms of an HTTP date (RFC 9110 §5.6.7): name of the day, date, time, and GMT said or meant. */
const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .*\d{1,2}:\d{2}:\d{2}( GMT| \d{4})$/;

const DELAY_SECONDS = /^\d{1,10}(\.\d+)?$/;

/** Retry-After (RFC 9110 §10.2.3): seconds or an HTTP date. Undefined when absent or malformed. */
export function parseRetryAfter(text: string | undefined, wallTime: () => Date): number | undefined {
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  if (DELAY_SECONDS.test(trimmed)) return saneDelay(Number(trimmed) * 1_000);
  // Date.parse takes almost anything, and takes what names no zone for local time.
  if (!HTTP_DATE.test(trimmed)) return undefined;
  const at = Date.parse(trimmed.endsWith('GMT') ? trimmed : `${trimmed} GMT`);
  return Number.isNaN(at) ? undefined : saneDelay(Math.max(0, at - wallTime().getTime()));
}

/** `retry-after-ms` where it is given, for it is finer; else `Retry-After`. */
export function retryAfterMs(headers: HeaderList, wallTime: () => Date): number | undefined {
  const ms = headerValue(headers, 'retry-after-ms')?.trim();
  if (ms !== undefined && /^\d{1,12}(\.\d+)?$/.test(ms)) return saneDelay(Number(ms));
  return parseRetryAfter(headerValue(headers, 'retry-after'), wallTime);
}

/** Undefined where it cannot be meant. */
export const saneDelay = (ms: number): number | undefined => (ms <= MAX_DELAY_MS ? ms : undefined);
