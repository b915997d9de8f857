/** What became of the call to one endpoint, and how it is told. */
import type { EndpointState } from '../core/endpoint.ts';
import { headerValue, headerValues } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import { REASONS } from '../core/reasons.ts';
import type { Reason } from '../core/reasons.ts';

/** An endpoint that may be asked. */
export interface Instance {
  readonly endpoint: string;
  /** Its id in the registry that it came from. */
  readonly instance?: string | undefined;
  readonly state: EndpointState;
}

/** The answer as far as it came. */
export interface Part {
  readonly status: number;
  readonly headers: HeaderList;
  readonly bytes: Uint8Array;
  /** There is, or would have been, more of it. */
  readonly truncated: boolean;
}

export interface Result {
  readonly of: Instance;
  readonly durationMs: number;
  readonly part?: Part | undefined;
  readonly error?: { readonly reason: Reason; readonly detail?: string | undefined } | undefined;
}

/** An endpoint that was not asked, and why: its state, or there were too many. */
export interface LeftOut {
  readonly of: Instance;
  readonly why: EndpointState | 'limit';
}

export interface Summary {
  readonly total: number;
  readonly ok: number;
  readonly failed: number;
  readonly leftOut: number;
  readonly durationMs: number;
}

/** It answered, with a status below 400; what was cut off for its length is an answer, too. */
export const isOk = ({ part, error }: Result): boolean => part !== undefined && part.status < 400 && !error;

/**
 * One line of JSON. A whole JSON answer stands in it as it came, so that no number loses a digit; other text as text,
 * what is no text in base64.
 * @param headers lower-case names of the fields to tell
 */
export function resultJson(result: Result, headers: readonly string[]): string {
  const { of, part, error, durationMs } = result;
  const head = {
    ...named(of),
    ...(part && { status: part.status }),
    durationMs: tenths(durationMs),
    ...(part && { headers: shown(part.headers, headers), truncated: part.truncated }),
    ...(error && { error: { ...error, title: REASONS[error.reason].title } }),
  };
  return withBody(JSON.stringify(head), part);
}

export const leftOutJson = ({ of, why }: LeftOut): string => JSON.stringify({ ...named(of), why });

export const summaryJson = (summary: Summary): string =>
  JSON.stringify({ ...summary, durationMs: tenths(summary.durationMs) });

const named = ({ endpoint, instance }: Instance): object => ({
  endpoint,
  ...(instance !== undefined && { instance }),
});

const tenths = (ms: number): number => Math.round(ms * 10) / 10;

/** A list of pairs becomes an object of its own making: no name can do harm. */
const shown = (fields: HeaderList, names: readonly string[]): object =>
  Object.fromEntries(
    names.flatMap((name) => {
      const values = headerValues(fields, name);
      return values.length === 0 ? [] : [[name, values.join(', ')]];
    }),
  );

const JSON_TYPE = /^\s*(application\/json|[^;\s]+\+json)\s*(;|$)/i;

function withBody(head: string, part: Part | undefined): string {
  if (!part || part.bytes.length === 0) return head;
  const open = head.slice(0, -1);
  const text = textOf(part);
  if (text === undefined)
    return `${open},"encoding":"base64","body":"${Buffer.from(part.bytes).toString('base64')}"}`;
  if (!part.truncated && JSON_TYPE.test(headerValue(part.headers, 'content-type') ?? '') && isJson(text))
    // Line ends can only stand between its tokens.
    return `${open},"encoding":"json","body":${text.replace(/[\r\n]+/g, ' ')}}`;
  return `${open},"encoding":"text","body":${JSON.stringify(text)}}`;
}

/** Undefined: it is no UTF-8, or encoded. What is cut off in the middle of a character ends before it. */
function textOf({ bytes, headers, truncated }: Part): string | undefined {
  const coding = headerValue(headers, 'content-encoding')?.trim().toLowerCase() ?? 'identity';
  if (coding !== 'identity') return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: truncated });
  } catch {
    return undefined;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
