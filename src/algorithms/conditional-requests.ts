/** Conditions on GETs (RFC 9110 §13) from both sides of a cache: those of its clients, and its own to the upstream. */
import { hasHeader, headerValue, headerValues, withoutHeaders } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { ResponseHead } from '../core/outcome.ts';
import { httpDate } from './http-date.ts';

const CONDITIONS: ReadonlySet<string> = new Set(['if-none-match', 'if-modified-since']);

const TAG = /(?:W\/)?"[^"]*"/g;

const opaque = (tag: string): string => tag.replace(/^W\//, '');

/** True when the client has what is stored already: it is told 304 (RFC 9110 §13.2.2). */
export function isNotModified(request: HeaderList, stored: ResponseHead): boolean {
  if (stored.status < 200 || stored.status > 299) return false;
  const known = headerValues(request, 'if-none-match');
  if (known.length > 0) {
    const tag = headerValue(stored.headers, 'etag');
    if (known.some((value) => value.trim() === '*')) return true;
    if (tag === undefined) return false;
    const tags = known.flatMap((value) => value.match(TAG) ?? []);
    return tags.some((one) => opaque(one) === opaque(tag.trim()));
  }
  const since = httpDate(headerValue(request, 'if-modified-since') ?? '');
  const modified = httpDate(headerValue(stored.headers, 'last-modified') ?? '');
  return since !== undefined && modified !== undefined && modified <= since;
}

/** Whether the upstream can be asked if this is still what it would answer. */
export const hasValidator = ({ headers }: ResponseHead): boolean =>
  hasHeader(headers, 'etag') || hasHeader(headers, 'last-modified');

/** The request's fields without the client's own conditions: its answer is good for everyone. */
export const withoutConditions = (request: HeaderList): string[] => withoutHeaders(request, CONDITIONS);

/** The request's fields with the stored answer's validators as conditions, in place of the client's own. */
export function withConditions(request: HeaderList, { headers }: ResponseHead): HeaderList {
  const asked = withoutConditions(request);
  const tag = headerValue(headers, 'etag');
  const modified = headerValue(headers, 'last-modified');
  if (tag !== undefined) asked.push('if-none-match', tag);
  if (modified !== undefined) asked.push('if-modified-since', modified);
  return asked;
}

/** Fields of a 304 that say nothing of the stored answer: of its body, its connection, its one client. */
const NOT_TAKEN: ReadonlySet<string> = new Set([
  ...['content-length', 'content-encoding', 'content-type', 'content-range'],
  ...['trailer', 'set-cookie', 'connection', 'keep-alive', 'transfer-encoding'],
]);

/**
 * The stored head, brought up to date by a 304 (RFC 9111 §3.2, §4.3.4).
 *
 * @returns undefined when the 304 speaks of another answer than the stored one
 */
export function freshenedBy(stored: ResponseHead, notModified: HeaderList): ResponseHead | undefined {
  const [ours, theirs] = [headerValue(stored.headers, 'etag'), headerValue(notModified, 'etag')];
  if (theirs !== undefined && (ours === undefined || opaque(theirs) !== opaque(ours))) return undefined;
  const news = withoutHeaders(notModified, NOT_TAKEN);
  const names = new Set(news.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase()));
  return { ...stored, headers: [...withoutHeaders(stored.headers, names), ...news] };
}
