/**
 * One pass over a request's raw headers: refuses what is ambiguous, keeps what goes on, and picks out the few fields
 * that the sidecar itself reads. Works on raw headers only: an object of headers merges duplicates and hides attacks.
 */
import type { IncomingMessage } from 'node:http';
import { EndToEndFields } from '../core/header-list.ts';

export interface RequestFacts {
  readonly host: string;
  /** Raw path and query, starting with `/`. */
  readonly target: string;
  /** End-to-end fields to forward. */
  readonly headers: string[];
  readonly contentLength: number | undefined;
  readonly hasBody: boolean;
  readonly expectsContinue: boolean;
  readonly requestId: string | undefined;
  readonly traceparent: string | undefined;
  readonly via: string | undefined;
  readonly agentId: string | undefined;
  readonly debug: boolean;
  readonly callerTimeoutMs: number | undefined;
  readonly clientRetries: number;
}

export interface BadRequest {
  readonly problem: string;
  readonly reason: 'bad_request' | 'expectation_failed';
}

/** Built anew for each attempt or read by us; never forwarded as they came. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'x-outrigger-debug',
  // The HTTP client cannot send trailers, so none may be announced.
  'trailer',
]);

/** A header name must be a token and a value must not hold what could end it; the parser lets some of it through. */
const BAD_HOST = /[\s/\\@?#,]/;
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

interface Picked {
  hosts: number;
  host: string;
  lengths: number;
  length: string | undefined;
  transferEncoding: string | undefined;
  expect: string | undefined;
  requestId: string | undefined;
  traceparents: number;
  traceparent: string | undefined;
  via: string | undefined;
  agentId: string | undefined;
  debug: boolean;
  requestTimeoutMs: string | undefined;
  stainlessTimeout: string | undefined;
  grpcTimeout: string | undefined;
  envoyTimeoutMs: string | undefined;
  serverTimeout: string | undefined;
  stainlessRetries: string | undefined;
}

const nothingPicked = (): Picked => ({
  hosts: 0,
  host: '',
  lengths: 0,
  length: undefined,
  transferEncoding: undefined,
  expect: undefined,
  requestId: undefined,
  traceparents: 0,
  traceparent: undefined,
  via: undefined,
  agentId: undefined,
  debug: false,
  requestTimeoutMs: undefined,
  stainlessTimeout: undefined,
  grpcTimeout: undefined,
  envoyTimeoutMs: undefined,
  serverTimeout: undefined,
  stainlessRetries: undefined,
});

/** What the sidecar reads of a request. A field is added here and nowhere else. */
const READERS = new Map<string, (picked: Picked, value: string) => void>([
  ['host', (p, v) => ((p.hosts += 1), (p.host = v))],
  ['content-length', (p, v) => ((p.lengths += 1), (p.length = v))],
  [
    'transfer-encoding',
    (p, v) => (p.transferEncoding = p.transferEncoding === undefined ? v : `${p.transferEncoding}, ${v}`),
  ],
  ['expect', (p, v) => (p.expect = v)],
  ['x-request-id', (p, v) => (p.requestId = v)],
  ['traceparent', (p, v) => ((p.traceparents += 1), (p.traceparent = v))],
  ['via', (p, v) => (p.via = p.via === undefined ? v : `${p.via}, ${v}`)],
  ['x-outrigger-debug', (p, v) => (p.debug = v !== '' && v !== '0' && v !== 'false')],
  ['x-request-timeout-ms', (p, v) => (p.requestTimeoutMs = v)],
  ['x-stainless-timeout', (p, v) => (p.stainlessTimeout = v)],
  ['grpc-timeout', (p, v) => (p.grpcTimeout = v)],
  ['x-envoy-upstream-rq-timeout-ms', (p, v) => (p.envoyTimeoutMs = v)],
  ['x-server-timeout', (p, v) => (p.serverTimeout = v)],
  ['x-stainless-retry-count', (p, v) => (p.stainlessRetries = v)],
]);

/** @param agentHeader lower-case name of the field that names the agent */
export function readRequest(req: IncomingMessage, agentHeader: string): RequestFacts | BadRequest {
  const picked = nothingPicked();
  const forwarded = new EndToEndFields();
  const raw = req.rawHeaders;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    const lower = name.toLowerCase();
    READERS.get(lower)?.(picked, value);
    if (lower === agentHeader) picked.agentId = value;
    if (!NOT_FORWARDED.has(lower)) forwarded.add(name, lower, value);
  }
  const target = originForm(req.url ?? '');
  const problem = target === undefined ? 'the request target is not a path' : ambiguity(req, picked);
  if (problem !== undefined || target === undefined)
    return { problem: problem ?? 'bad target', reason: 'bad_request' };
  // RFC 9110 §10.1.1; HTTP/1.0 does not know the field.
  if (
    picked.expect !== undefined &&
    picked.expect.toLowerCase() !== '100-continue' &&
    req.httpVersionMinor > 0
  )
    return { problem: 'an unknown expectation', reason: 'expectation_failed' };
  return factsOf(req, picked, { target, headers: forwarded.of(raw) });
}

function factsOf(
  req: IncomingMessage,
  picked: Picked,
  { target, headers }: Pick<RequestFacts, 'target' | 'headers'>,
): RequestFacts {
  const contentLength = picked.length === undefined ? undefined : Number(picked.length);
  return {
    host: picked.host,
    target,
    headers,
    contentLength,
    hasBody: picked.transferEncoding !== undefined || (contentLength ?? 0) > 0,
    // HTTP/1.0 knows no interim answers: its clients send their bodies at once.
    expectsContinue: picked.expect !== undefined && req.httpVersionMinor > 0,
    requestId:
      picked.requestId !== undefined && REQUEST_ID.test(picked.requestId) ? picked.requestId : undefined,
    traceparent: picked.traceparents === 1 ? picked.traceparent : undefined,
    via: picked.via,
    agentId: picked.agentId,
    debug: picked.debug,
    callerTimeoutMs: callerTimeout(picked),
    clientRetries: wholeNumber(picked.stainlessRetries) ?? 0,
  };
}

/** Absolute-form is what clients send that believe us a forward proxy (RFC 9112 §3.2.2); only its path counts. */
export function originForm(url: string): string | undefined {
  if (url.startsWith('/')) return url;
  const absolute = /^https?:\/\/[^/?#]*/i.exec(url);
  if (!absolute) return undefined;
  const rest = url.slice(absolute[0].length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** What two servers could read in two ways is answered with 400, never forwarded (RFC 9112 §11.2). */
function ambiguity(req: IncomingMessage, picked: Picked): string | undefined {
  if (req.httpVersionMajor !== 1) return 'only HTTP/1.0 and HTTP/1.1 are understood here';
  if (picked.hosts > 1) return 'more than one Host field';
  if (picked.hosts === 0 && req.httpVersionMinor !== 0) return 'no Host field';
  if (BAD_HOST.test(picked.host)) return 'the Host field is not a host';
  if (picked.lengths > 1) return 'more than one Content-Length field';
  if (picked.length !== undefined && !/^\d{1,15}$/.test(picked.length))
    return 'Content-Length is not a number';
  if (picked.transferEncoding !== undefined) {
    if (picked.length !== undefined) return 'both Content-Length and Transfer-Encoding';
    if (req.httpVersionMinor === 0) return 'Transfer-Encoding in HTTP/1.0';
    if (picked.transferEncoding.trim().toLowerCase() !== 'chunked') return 'an unknown Transfer-Encoding';
  }
  return undefined;
}

const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,9}$/.test(text.trim()) ? Number(text) : undefined;

const seconds = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,7}(\.\d+)?$/.test(text.trim()) ? Number(text) * 1_000 : undefined;

const GRPC_UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

function grpcTimeout(text: string | undefined): number | undefined {
  const match = text === undefined ? null : /^(\d{1,8})([HMSmun])$/.exec(text.trim());
  return match ? Number(match[1]) * (GRPC_UNIT_MS[match[2] as string] ?? 0) : undefined;
}

/** The smallest bound that the caller states; malformed hints and zeros are ignored. */
function callerTimeout(picked: Picked): number | undefined {
  let smallest: number | undefined;
  for (const hint of [
    wholeNumber(picked.requestTimeoutMs),
    seconds(picked.stainlessTimeout),
    grpcTimeout(picked.grpcTimeout),
    wholeNumber(picked.envoyTimeoutMs),
    seconds(picked.serverTimeout),
  ]) {
    if (hint !== undefined && hint > 0 && (smallest === undefined || hint < smallest)) smallest = hint;
  }
  return smallest;
}
