/** What the sidecar itself says in Google's words: errors, ends of streams that broke off, answers of its own. */
import type { CallFacts, LocalError, RenderedAnswer } from '../core/dialect.ts';
import { JSON_BODY, SSE_BODY, sentenceOf } from './rendering.ts';

/** google.rpc.Code and the HTTP status that stands for each. */
export const STATUS_OF_NAME: ReadonlyMap<string, number> = new Map([
  ['INVALID_ARGUMENT', 400],
  ['FAILED_PRECONDITION', 400],
  ['OUT_OF_RANGE', 400],
  ['UNAUTHENTICATED', 401],
  ['PERMISSION_DENIED', 403],
  ['NOT_FOUND', 404],
  ['ABORTED', 409],
  ['ALREADY_EXISTS', 409],
  ['RESOURCE_EXHAUSTED', 429],
  ['CANCELLED', 499],
  ['INTERNAL', 500],
  ['UNKNOWN', 500],
  ['DATA_LOSS', 500],
  ['UNIMPLEMENTED', 501],
  ['UNAVAILABLE', 503],
  ['DEADLINE_EXCEEDED', 504],
]);

const NAME_OF_STATUS: Readonly<Record<number, string>> = {
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  408: 'DEADLINE_EXCEEDED',
  429: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  500: 'INTERNAL',
  501: 'UNIMPLEMENTED',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

const nameOf = (status: number): string =>
  NAME_OF_STATUS[status] ?? (status < 500 ? 'INVALID_ARGUMENT' : 'INTERNAL');

/** The code stands where Google puts codes: in an ErrorInfo with a domain of its own. */
function envelope(error: LocalError): object {
  const info = {
    '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
    reason: error.reason.toUpperCase(),
    domain: 'outrigger',
    metadata: { code: error.reason, requestId: error.requestId },
  };
  const delay = error.retryAfterMs !== undefined && {
    '@type': 'type.googleapis.com/google.rpc.RetryInfo',
    retryDelay: `${Math.ceil(error.retryAfterMs) / 1_000}s`,
  };
  const { status } = error;
  const details = delay ? [info, delay] : [info];
  return { error: { code: status, status: nameOf(status), message: sentenceOf(error), details } };
}

export const renderError = (error: LocalError): RenderedAnswer => ({
  headers: JSON_BODY,
  body: JSON.stringify(envelope(error)),
});

/** Without a name: Google's own client does not look at events that have one. */
export const renderStreamError = (error: LocalError): string => dataOf(envelope(error));

export function renderAnswer(text: string, call: CallFacts): RenderedAnswer | undefined {
  const answer = answerOf(text);
  if (call.operation === 'generateContent') return { headers: JSON_BODY, body: JSON.stringify(answer) };
  if (call.operation !== 'streamGenerateContent') return undefined;
  return call.stream
    ? { headers: SSE_BODY, body: dataOf(answer) }
    : { headers: JSON_BODY, body: JSON.stringify([answer]) };
}

const answerOf = (text: string): object => ({
  candidates: [{ content: { role: 'model', parts: [{ text }] }, finishReason: 'STOP', index: 0 }],
  usageMetadata: { promptTokenCount: 0, candidatesTokenCount: 0, totalTokenCount: 0 },
  // By this it is known for an answer that no model gave.
  modelVersion: 'outrigger-fallback',
  responseId: 'outrigger-fallback',
});

const dataOf = (json: object): string => `data: ${JSON.stringify(json)}\n\n`;
