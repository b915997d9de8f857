/** Plain HTTP: judged by status alone, errors as problem details (RFC 9457), streams known by their content type. */
import type { Dialect, LocalError, RenderedAnswer } from '../core/dialect.ts';
import { headerValue } from '../core/header-list.ts';
import { judgeBy } from './judge.ts';

/** Answers that go on for as long as they like. */
const STREAM_TYPES =
  /^(text\/event-stream|application\/(x-ndjson|ndjson|jsonl|jsonlines|json-seq|stream\+json|vnd\.amazon\.eventstream|grpc)|multipart\/x-mixed-replace)\b/i;

function renderError(error: LocalError): RenderedAnswer {
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
  errors: [],
  classify: judgeBy({ errors: [] }),
  isStream: (head) => STREAM_TYPES.test(headerValue(head.headers, 'content-type') ?? ''),
  renderError,
};
