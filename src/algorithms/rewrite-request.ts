/** Makes one upstream's request fit another: path, headers and a few top-level fields of a JSON body. */
import { Buffer } from 'node:buffer';
import type { RequestBody, RequestHead } from '../core/exchange.ts';
import { withHeader, withoutHeaders } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';

export interface RequestRewrite {
  /** Replaces the start of the path; the longest `from` that fits wins. Query and rest stay byte for byte. */
  readonly path: readonly { readonly from: string; readonly to: string }[];
  readonly setHeaders: Readonly<Record<string, string>>;
  readonly removeHeaders: ReadonlySet<string>;
  /** Top-level fields to set in a JSON object body; null removes a field. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** Query parameters in which providers accept credentials. */
const CREDENTIAL_PARAMETER = /^(?:key|api[-_]?key|access_token)(?:=|$)/i;

/** The target without credentials in its query; the rest stays byte for byte. */
export function withoutCredentialParameters(target: string): string {
  const queryAt = target.indexOf('?');
  if (queryAt < 0) return target;
  const path = target.slice(0, queryAt);
  const parameters = target.slice(queryAt + 1).split('&');
  const kept = parameters.filter((parameter) => !CREDENTIAL_PARAMETER.test(parameter));
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

/** @returns undefined when the body cannot be rewritten: a stream, or not a JSON object */
export function rewriteBody(body: RequestBody, fields: RequestRewrite['body']): RequestBody | undefined {
  if (Object.keys(fields).length === 0) return body;
  const bytes = body.open();
  if (!(bytes instanceof Uint8Array)) {
    bytes?.destroy();
    return undefined;
  }
  const parsed = parseObject(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  if (!parsed) return undefined;
  for (const [name, value] of Object.entries(fields)) {
    if (value === null) parsed.delete(name);
    else parsed.set(name, value);
  }
  const rewritten = Buffer.from(JSON.stringify(Object.fromEntries(parsed)), 'utf8');
  return { replayable: true, length: rewritten.length, waitingForClient: false, open: () => rewritten };
}

function parseObject(text: string): Map<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
    return new Map(Object.entries(value));
  } catch {
    return undefined;
  }
}

export function rewriteRequest(request: RequestHead, rewrite: RequestRewrite): RequestHead {
  return {
    ...request,
    target: rewriteTarget(request.target, rewrite.path),
    headers: rewriteHeaders(request.headers, rewrite),
  };
}
