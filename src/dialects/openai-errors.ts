/** What errors of OpenAI's API mean, as data, and the forms in which they come. */
import type { ErrorRule } from '../core/dialect.ts';
import { asRecord } from './json-shapes.ts';

/** Codes and types as OpenAI, Azure, Groq, Mistral, OpenRouter, DeepSeek and vLLM write them. */
export const errors: readonly ErrorRule[] = [
  // Money: no wait helps.
  { status: [402], headers: { 'retry-after': '' }, as: 'throttled' }, // OpenRouter: only the calls under way are too many
  { status: [402], as: 'quota' },
  { body: { '/error/type': '^insufficient_quota$' }, as: 'quota' },
  {
    body: {
      '/error/code':
        '^(insufficient_quota|insufficient_credits|credit_balance_exhausted|billing_hard_limit_reached|billing_not_active|(organization|project)_(spend|usage)_limit_exceeded)$',
    },
    as: 'quota',
  },
  // What the request says.
  { body: { '/error/code': '^(context_length_exceeded|string_above_max_length)$' }, as: 'context_length' },
  {
    status: [400, 413, 422],
    body: {
      '/error/message': 'maximum context length|context window|too many (input )?tokens|reduce the length',
    },
    as: 'context_length',
  },
  { body: { '/error/code': '^(content_filter|content_policy_violation)$' }, as: 'content_filter' },
  { body: { '/error/innererror/code': '^ResponsibleAIPolicyViolation$' }, as: 'content_filter' },
  // Load.
  {
    body: { '/error/code': '^(server_is_overloaded|slow_down|capacity_exceeded|engine_overloaded)$' },
    as: 'overloaded',
  },
  { body: { '/error/type': '^(overloaded_error|engine_overloaded)$' }, as: 'overloaded' },
  { status: [498], as: 'overloaded' }, // Groq: flex capacity
  { body: { '/error/code': '^rate_limit_exceeded$' }, as: 'throttled' },
  {
    body: { '/error/type': '^(rate_limit_error|rate_limit_exceeded|tokens|requests)$' },
    status: [429],
    as: 'throttled',
  },
  // Credentials.
  { body: { '/error/code': '^(invalid_api_key|account_deactivated|invalid_organization)$' }, as: 'auth' },
  // Inside an answer, where there is no status to go by.
  { status: [400, 404, 422], body: { '/error/type': '^invalid_request_error$' }, as: 'permanent' },
];

/** Mistral and older vLLM write the error's fields without the `error` around them. */
export const isFlatError = (json: Readonly<Record<string, unknown>>): boolean => json['object'] === 'error';

/** Flat errors, those of Responses streams among them, as the table of errors expects them. */
export function nested(json: unknown): unknown {
  const body = asRecord(json);
  if (!body || asRecord(body['error'])) return json;
  return isFlatError(body) || body['type'] === 'error' ? { error: body } : json;
}
