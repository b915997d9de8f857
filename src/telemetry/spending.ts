/** What an attempt's answer cost, as far as its provider and the operator's prices tell. */
import type { Usage } from '../core/dialect.ts';
import type { Attempt } from '../core/exchange.ts';
import { OTHER_MODEL, costOf } from '../core/model-catalog.ts';
import type { ModelTerms } from '../core/model-catalog.ts';

/** Of the model that answered, or else of the one that was asked for. */
export function modelTermsOf({ answer, exchange }: Attempt): ModelTerms {
  // The answer first: to read the request's model means to parse the whole prompt.
  return exchange.upstream.models?.termsOf(answer?.model ?? exchange.call.model) ?? OTHER_MODEL;
}

/** Undefined where there is no price for the model. */
export function costOfUsage(attempt: Attempt, usage: Usage): number | undefined {
  const { price } = modelTermsOf(attempt);
  return price && costOf(usage, price);
}
