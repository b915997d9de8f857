/** Answers that the sidecar makes itself: the right status, a standard account of what happened, a code to branch on. */
import { UNKNOWN_CALL } from '../core/dialect.ts';
import type { CallFacts, Dialect } from '../core/dialect.ts';
import type { Attempt } from '../core/exchange.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { ResponseHead } from '../core/outcome.ts';
import { REASONS } from '../core/reasons.ts';
import type { Reason } from '../core/reasons.ts';
import type { VerdictClass } from '../core/verdict.ts';
import { proxyStatus } from './proxy-status.ts';

/** Clients sleep as long as they are told; more than a minute helps nobody. */
const MAX_RETRY_AFTER_MS = 60_000;

export interface LocalAnswer {
  readonly head: ResponseHead;
  readonly body: Buffer;
}

export interface LocalAnswerInput {
  readonly reason: Reason;
  readonly dialect: Dialect;
  /** Name of this deployment, for Proxy-Status. */
  readonly pseudonym: string;
  readonly requestId: string;
  readonly detail?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly lastAttempt?: Attempt | undefined;
  readonly call?: CallFacts;
  /** Whether the upstream may have seen the request. */
  readonly sent?: 'no' | 'maybe';
  /** What the failure means; it decides the status where the upstream's answer had an error in it. */
  readonly verdictClass?: VerdictClass;
  /** What the upstream itself said. */
  readonly said?: unknown;
  /** Fields that only this refusal has. */
  readonly headers?: HeaderList | undefined;
}

/** Characters of what an upstream said; secrets in it are hidden by now. */
const MAX_DETAIL = 500;

/** Reasons for which a later try can help although nobody named a time. */
const WORTH_WAITING: Readonly<Partial<Record<Reason, number>>> = {
  circuit_open: 1_000,
  credentials_cooling: 1_000,
  no_credential: 60_000,
  no_endpoint: 1_000,
  paced: 1_000,
  concurrency_limit: 1_000,
  load_shed: 1_000,
  rate_limited: 1_000,
  idempotency_in_progress: 1_000,
  idempotency_unavailable: 1_000,
  shutting_down: 1_000,
  connection_limit: 1_000,
};

/** An upstream that turned a call away inside its answer names no time in a header. */
const waitOf = ({ reason, verdictClass }: LocalAnswerInput): number | undefined =>
  reason === 'upstream_error' && (verdictClass === 'throttled' || verdictClass === 'overloaded')
    ? 1_000
    : undefined;

export function localAnswer(input: LocalAnswerInput): LocalAnswer {
  const { title } = REASONS[input.reason];
  const status = localStatus(input.reason, input.verdictClass);
  const wanted = input.retryAfterMs ?? WORTH_WAITING[input.reason] ?? waitOf(input);
  const retryAfterMs = wanted === undefined ? undefined : Math.min(MAX_RETRY_AFTER_MS, Math.ceil(wanted));
  const rendered = input.dialect.renderError({
    status,
    title,
    reason: input.reason,
    detail: input.detail?.slice(0, MAX_DETAIL),
    requestId: input.requestId,
    retryAfterMs,
    call: input.call ?? UNKNOWN_CALL,
    sent: input.sent ?? 'no',
    said: input.said,
  });
  const { headers, body } = rendered;
  const bytes = Buffer.from(body, 'utf8');
  const all = [
    ...headers,
    ...['content-length', String(bytes.length)],
    ...['cache-control', 'no-store'],
    ...['proxy-status', accountOf(input)],
    ...['x-outrigger-code', input.reason],
    ...(input.headers ?? []),
  ];
  if (retryAfterMs !== undefined) {
    all.push(
      'retry-after',
      String(Math.max(1, Math.ceil(retryAfterMs / 1_000))),
      'retry-after-ms',
      String(retryAfterMs),
    );
  }
  return { head: { status: rendered.status ?? status, statusText: '', headers: all }, body: bytes };
}

/** Statuses by which clients tell an error that is worth another try from one that is not. */
const STATUS_OF_ERROR_INSIDE: Readonly<Partial<Record<VerdictClass, number>>> = {
  throttled: 429,
  quota: 429,
  overloaded: 503,
  auth: 401,
  permanent: 400,
  context_length: 400,
  content_filter: 400,
};

/** The status of a local answer. An error inside an answer gets the one that it should have had from the start. */
function localStatus(reason: Reason, verdictClass?: VerdictClass): number {
  const { status } = REASONS[reason];
  if (reason !== 'upstream_error' || verdictClass === undefined) return status;
  return STATUS_OF_ERROR_INSIDE[verdictClass] ?? status;
}

function accountOf(input: LocalAnswerInput): string {
  const { lastAttempt } = input;
  return proxyStatus({
    name: input.pseudonym,
    reason: input.reason,
    nextHop: lastAttempt?.endpoint.name,
    receivedStatus: lastAttempt?.status,
    details: input.detail?.slice(0, MAX_DETAIL),
  });
}
