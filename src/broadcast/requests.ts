/** The request as each endpoint gets it, and the form in which the client wants to have the answers. */
import { digestOf } from '../algorithms/idempotency-key.ts';
import { headerValue, headerValues, withHeader, withoutHeaders } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { RequestHead } from '../core/request.ts';

/** `json`: all at the end. `lines` and `events`: each as soon as it is there. */
export type Format = 'json' | 'lines' | 'events';

const TYPE_OF: Readonly<Record<Exclude<Format, 'json'>, string>> = {
  lines: 'application/x-ndjson',
  events: 'text/event-stream',
};

/** Clients of protocols that may answer in either way name both types, and want one answer. */
export function formatOf(headers: HeaderList): Format {
  const types = acceptedTypes(headers).map(typeOf);
  if (types.includes(TYPE_OF.lines)) return 'lines';
  return types.includes(TYPE_OF.events) && !types.includes('application/json') ? 'events' : 'json';
}

/**
 * Without what is about the collected answer. Nobody here decodes, so the answers are asked for as they are. A key is made
 * one of the endpoint's own: where endpoints share what they know of keys, one of them would else answer for all.
 */
export function requestFor(request: RequestHead, format: Format, endpoint: string): RequestHead {
  let headers = withHeader(request.headers, 'accept-encoding', 'identity');
  if (format !== 'json') headers = withAccept(headers, TYPE_OF[format]);
  const key = headerValue(headers, KEY)?.trim();
  if (key) headers = withHeader(headers, KEY, ownKey(key, digestOf(endpoint).slice(0, SUFFIX_DIGITS)));
  return { ...request, headers };
}

const KEY = 'idempotency-key';
const SUFFIX_DIGITS = 12;

/** Inside the quotes, where there are some. */
const ownKey = (key: string, suffix: string): string =>
  key.length > 1 && key.endsWith('"') ? `${key.slice(0, -1)}-${suffix}"` : `${key}-${suffix}`;

function withAccept(headers: HeaderList, without: string): string[] {
  const left = acceptedTypes(headers).filter((range) => typeOf(range) !== without);
  return left.length === 0
    ? withoutHeaders(headers, new Set(['accept']))
    : withHeader(headers, 'accept', left.join(', '));
}

const acceptedTypes = (headers: HeaderList): string[] =>
  headerValues(headers, 'accept').flatMap((value) => value.split(',').map((range) => range.trim()));

const typeOf = (range: string): string => (range.split(';', 1)[0] as string).trim().toLowerCase();
