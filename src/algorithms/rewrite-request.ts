/** Makes one upstream's request fit another: path, headers and a few top-level fields of a JSON body. */
import { Buffer } from 'node:buffer';
import { withHeader, withoutHeaders } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import { bodyOfBytes } from '../core/request-bodies.ts';
import type { RequestBody, RequestHead } from '../core/request.ts';

export interface RequestRewrite {
  /** Replaces the start of the path; the longest `from` that fits wins. Query and rest stay byte for byte. */
  readonly path: readonly { readonly from: string; readonly to: string }[];
  readonly setHeaders: Readonly<Record<string, string>>;
  readonly removeHeaders: ReadonlySet<string>;
  /** Top-level fields to set in a JSON object body; null removes a field. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** Query parameters in which providers accept credentials. A `key` can also be the key of anything else. */
const CREDENTIAL_PARAMETER = {
  all: /^(?:key|api[-_]?key|access_token)(?:=|$)/i,
  sure: /^(?:api[-_]?key|access_token)(?:=|$)/i,
} as const;

/**
 * The target without credentials in its query; the rest stays byte for byte.
 * @param which `sure` leaves what may well be something else
 */
export function withoutCredentialParameters(target: string, which: 'all' | 'sure' = 'all'): string {
  const queryAt = target.indexOf('?');
  if (queryAt < 0) return target;
  const path = target.slice(0, queryAt);
  const parameters = target.slice(queryAt + 1).split('&');
  const kept = parameters.filter((parameter) => !CREDENTIAL_PARAMETER[which].test(parameter));
  if (kept.length === parameters.length) return target;
  return kept.length === 0 ? path : `${path}?${kept.join('&')}`;
}

export function rewriteTarget(target: string, rules: RequestRewrite['path']): string {
  const fits = rules.filter(({ from }) => target.startsWith(from));
  const best = fits.sort((a, b) => b.from.length - a.from.length)[0];
  return best ? best.to + target.slice(best.from.length) : target;
}

export function rewriteHeaders(headers: HeaderList, rewrite: RequestRewrite): HeaderList {
  let result: HeaderList = withoutHeaders(headers, rewrite.removeHeaders);
  for (const [name, value] of Object.entries(rewrite.setHeaders)) result = withHeader(result, name, value);
  return result;
}

/** @returns undefined when the body cannot be rewritten: it cannot be kept, or is no JSON object. No body needs no rewriting. */
export async function rewriteBody(
  body: RequestBody,
  fields: RequestRewrite['body'],
): Promise<RequestBody | undefined> {
  if (Object.keys(fields).length === 0) return body;
  const bytes = await body.whole();
  if (bytes === null) return body;
  const parsed = bytes && parseObject(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  if (!parsed) return undefined;
  for (const [name, value] of Object.entries(fields)) {
    if (value === null) parsed.delete(name);
    else parsed.set(name, value);
  }
  return bodyOfBytes(Buffer.from(JSON.stringify(Object.fromEntries(parsed)), 'utf8'));
}

/** ECMAScript's way to keep a number as it is written; the types do not have it yet. */
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown };

/** Fields that nobody asked to change keep their very digits: `1.0`, and integers beyond 2^53. */
function parseObject(bytes: Buffer): Map<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'), keepDigits);
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
    return new Map(Object.entries(value));
  } catch {
    return undefined;
  }
}

function keepDigits(this: unknown, _key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  return typeof value === 'number' && source !== undefined && String(value) !== source
    ? rawJSON(source)
    : value;
}

export function rewriteRequest(request: RequestHead, rewrite: RequestRewrite): RequestHead {
  return {
    ...request,
    target: rewriteTarget(request.target, rewrite.path),
    headers: rewriteHeaders(request.headers, rewrite),
  };
}
