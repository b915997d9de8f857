/** Dates of header fields (RFC 9110 §5.6.7). */

const DAY = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const TIME = '\\d{2}:\\d{2}:\\d{2}';

/** The form of today, and the two that everyone must still read: of RFC 850, and of asctime, which names no zone. */
const FORMS = [
  new RegExp(`^${DAY}, \\d{2} [A-Z][a-z]{2} \\d{4} ${TIME} GMT$`),
  new RegExp(`^${DAY}[a-z]*, \\d{2}-[A-Z][a-z]{2}-\\d{2} ${TIME} GMT$`),
  new RegExp(`^${DAY} [A-Z][a-z]{2} [ \\d]\\d ${TIME} \\d{4}$`),
];

/**
 * Milliseconds since 1970; undefined for whatever is no such date. `Date.parse` alone takes almost anything for one, `3000`
 * among it, and what names no zone for local time.
 */
export function httpDate(text: string): number | undefined {
  const trimmed = text.trim();
  if (!FORMS.some((form) => form.test(trimmed))) return undefined;
  const at = Date.parse(trimmed.endsWith('GMT') ? trimmed : `${trimmed} GMT`);
  return Number.isNaN(at) ? undefined : at;
}
