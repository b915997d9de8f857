/** Plain HTTP: judged by status alone, errors as problem details (RFC 9457), streams known by their content type. */
import type { Dialect, LocalError } from '../core/dialect.ts';
import { headerValue } from '../core/header-list.ts';
import type { ResponseHead } from '../core/outcome.ts';
import { verdictOf } from '../core/verdict.ts';
import type { Verdict, VerdictClass } from '../core/verdict.ts';
import { retryAfterMs } from './retry-after.ts';

const CLASS_OF_STATUS: ReadonlyMap<number, VerdictClass> = new Map([
  [401, 'auth'],
  [402, 'quota'],
  [403, 'auth'],
  [407, 'auth'],
  [408, 'transient'],
  [425, 'transient'],
  [429, 'throttled'],
  [501, 'permanent'],
  [505, 'permanent'],
  [511, 'auth'],
  [529, 'overloaded'],
]);

/** Answers that go on for as long as they like. */
const STREAM_TYPES =
  /^(text\/event-stream|application\/(x-ndjson|ndjson|jsonl|jsonlines|json-seq|stream\+json|vnd\.amazon\.eventstream|grpc)|multipart\/x-mixed-replace)\b/i;

function classOf(status: number, delayMs: number | undefined): VerdictClass {
  const known = CLASS_OF_STATUS.get(status);
  if (known) return known;
  // An upstream that names a time to come back refused before it began (RFC 9110 §15.6.4).
  if (status === 503 && delayMs !== undefined) return 'overloaded';
  if (status >= 500) return 'transient';
  return status >= 400 ? 'permanent' : 'ok';
}

function classify(head: ResponseHead, wallTime: () => Date): Verdict {
  if (head.status < 400) return verdictOf('ok');
  const delayMs = retryAfterMs(head.headers, wallTime);
  const verdict = verdictOf(classOf(head.status, delayMs), delayMs);
  // A 4xx blames the client, such as one that sent too slowly (408): worth another try, no sign of ill health.
  return head.status < 500 ? { ...verdict, result: 'neutral' } : verdict;
}

function renderError(error: LocalError): ReturnType<Dialect['renderError']> {
  const problem = {
    title: error.title,
    status: error.status,
    ...(error.detail && { detail: error.detail }),
    code: error.reason,
    requestId: error.requestId,
    ...(error.retryAfterMs !== undefined && { retryAfterMs: Math.ceil(error.retryAfterMs) }),
  };
  return { headers: ['content-type', 'application/problem+json'], body: JSON.stringify(problem) };
}

export const generic: Dialect = {
  name: 'generic',
  classify,
  isStream: (head) => STREAM_TYPES.test(headerValue(head.headers, 'content-type') ?? ''),
  renderError,
};
