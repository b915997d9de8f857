/** What the tries of an exchange have spent, as far as it is known, and what another one would: estimates for caps. */
import type { Attempt, Exchange } from '../core/exchange.ts';
import { costOf } from '../core/model-catalog.ts';
import type { Price } from '../core/model-catalog.ts';
import type { Usage } from '../core/dialect.ts';
import type { Reason } from '../core/reasons.ts';
import type { VerdictClass } from '../core/verdict.ts';

export interface Spending {
  /** Prompt and generated tokens. */
  readonly tokens: number;
  /** What of it has a price, in that currency. */
  readonly cost: number;
}

/** A rule of thumb for English text in JSON. */
const BYTES_PER_TOKEN = 4;

/** Turned away before a model was asked. */
const UNBILLED: ReadonlySet<VerdictClass> = new Set([
  'throttled',
  'overloaded',
  'permanent',
  'quota',
  'auth',
  'context_length',
  'content_filter',
]);

/** Nothing was sent. */
const UNSENT: ReadonlySet<Reason> = new Set([
  'connection_refused',
  'connection_timeout',
  'connection_limit',
  'dns_error',
  'dns_timeout',
  'host_unreachable',
  'tls_certificate_error',
  'tls_protocol_error',
]);

/**
 * All attempts so far, those of a ladder's other steps included. What a provider did not tell counts as its prompt.
 * @param priced false: leaves the cost at 0, which saves parsing the request for its model
 */
export function spentSoFar({ attempts }: Exchange, priced: boolean): Spending {
  let tokens = 0;
  let cost = 0;
  for (const attempt of attempts) {
    const usage = usageOf(attempt);
    if (!usage) continue;
    tokens += usage.input + usage.output;
    if (priced) cost += costOf(usage, priceOf(attempt) ?? FREE);
  }
  return { tokens, cost };
}

/** The prompt again, as it was counted or else by its size; what will be generated, nobody knows. */
export function nextPrompt(exchange: Exchange, price: Price | undefined): Spending {
  const counted = exchange.attempts.map(({ answer }) => answer?.usage?.input ?? 0);
  const known = Math.max(0, ...counted);
  const usage = promptOf(known > 0 ? known : estimatedPrompt(exchange));
  return { tokens: usage.input, cost: costOf(usage, price ?? FREE) };
}

const FREE: Price = { input: 0, output: 0 };

function usageOf(attempt: Attempt): Usage | undefined {
  if (attempt.answer?.usage) return attempt.answer.usage;
  return costsNothing(attempt) ? undefined : promptOf(estimatedPrompt(attempt.exchange));
}

/** No model was asked: it was turned away before, or nothing was sent. */
export const costsNothing = ({ verdict, reason }: Attempt): boolean =>
  (verdict !== undefined && UNBILLED.has(verdict.class)) || (reason !== undefined && UNSENT.has(reason));

const promptOf = (input: number): Usage => ({ input, cached: 0, output: 0, reasoning: 0 });

/** Tokens of the prompt by the size of the request. */
export const estimatedPrompt = ({ body }: Exchange): number =>
  Math.ceil((body.length ?? body.peek()?.length ?? 0) / BYTES_PER_TOKEN);

function priceOf({ answer, exchange }: Attempt): Price | undefined {
  return exchange.upstream.models?.termsOf(answer?.model ?? exchange.call.model).price;
}
