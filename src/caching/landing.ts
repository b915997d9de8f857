/** What came of asking the upstream, for one or for several who wanted to know. */
import type { Exchange } from '../core/exchange.ts';
import { headerValues } from '../core/header-list.ts';
import type { FailureOutcome, RejectionOutcome, ResponseOutcome } from '../core/outcome.ts';
import type { SharedBody } from '../streams/shared-body.ts';
import type { Copy } from './copy.ts';

/** What an answer depends on, with the request that it was given to. */
export interface Dependence {
  /** Fields that it names itself; `all` where it does not say that it is meant for others, too. */
  readonly names: readonly string[] | 'all';
  readonly exchange: Exchange;
}

export type Landing =
  /** What is kept is still the answer. */
  | { readonly kind: 'copy'; readonly copy: Copy; readonly dependsOn: Dependence }
  /** An answer that others may have, too. */
  | {
      readonly kind: 'shared';
      readonly outcome: ResponseOutcome;
      readonly body: SharedBody;
      readonly dependsOn: Dependence;
      /** It will be kept, if it ends well. */
      readonly keeps: boolean;
    }
  /** An answer for one alone. */
  | { readonly kind: 'own'; readonly outcome: ResponseOutcome }
  | { readonly kind: 'none'; readonly outcome: FailureOutcome | RejectionOutcome };

/** Fields that differ from one request to the next, whoever sends them, and those that caches heed by themselves. */
const OF_ONE_REQUEST: ReadonlySet<string> = new Set([
  ...[
    'traceparent',
    'tracestate',
    'baggage',
    'via',
    'date',
    'user-agent',
    'x-request-id',
    'x-correlation-id',
  ],
  ...['x-request-timeout-ms', 'x-stainless-retry-count', 'x-stainless-timeout', 'x-stainless-read-timeout'],
  ...['x-server-timeout', 'grpc-timeout', 'x-envoy-upstream-rq-timeout-ms', 'idempotency-key'],
  ...['cache-control', 'pragma', 'if-none-match', 'if-modified-since'],
]);

/** Whether what was answered to one answers the other. */
export function isAnswerTo({ names, exchange }: Dependence, other: Exchange): boolean {
  const [ours, theirs] = [exchange.request.headers, other.request.headers];
  if (names === 'all') return tellingOf(exchange) === tellingOf(other);
  return names.every((name) => headerValues(ours, name).join('\n') === headerValues(theirs, name).join('\n'));
}

/** All fields by which a server could tell the request from others; who the agent is counts where operators say so. */
function tellingOf({ request: { headers }, agentId }: Exchange): string {
  const fields: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = (headers[i] as string).toLowerCase();
    const value = headers[i + 1] as string;
    if (!OF_ONE_REQUEST.has(name) && value !== agentId) fields.push(`${name}: ${value}`);
  }
  return fields.sort().join('\n');
}
