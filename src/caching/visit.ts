/** A request that came to the cache, with what was found for it. */
import { withConditions } from '../algorithms/conditional-requests.ts';
import type { AnswerKey } from '../core/answer-store.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Exchange } from '../core/exchange.ts';
import { hasHeader } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { Next } from '../core/policy.ts';
import type { Copy } from './copy.ts';
import type { Plan } from './plan.ts';

export interface Visit {
  readonly exchange: Exchange;
  readonly next: Next<Exchange>;
  readonly cancellation: Cancellation;
  readonly plan: Plan;
  /** Where its answer is, or would be. */
  readonly key: AnswerKey;
  readonly copy: Copy | undefined;
  /** There are answers for those who ask in another way. */
  readonly varies: boolean;
}

/** The upstream can be asked whether the copy still holds. Of a POST it would only refuse to answer (RFC 9110 §13.1.2). */
export const isConditional = ({ copy, plan }: Visit): boolean =>
  plan.kind === 'http' && copy?.hasValidator === true;

/** The request's fields as they go out. */
export function askedHeaders(visit: Visit): HeaderList {
  const { exchange, copy } = visit;
  const { headers } = exchange.request;
  return copy && isConditional(visit) ? withConditions(headers, copy.cached.answer.head) : headers;
}

/** Its answer may be one for its client alone: that this has what it has. */
export const hasOwnConditions = ({ exchange }: Visit): boolean =>
  hasHeader(exchange.request.headers, 'if-none-match') ||
  hasHeader(exchange.request.headers, 'if-modified-since');

export const nameOf = ({ group, variant }: AnswerKey): string => `${group}/${variant}`;
