/** Turns what an attempt brought into a verdict: the operator's rules first, then the dialect's own knowledge. */
import { z } from 'zod';
import type { Dialect } from '../core/dialect.ts';
import { headerValues } from '../core/header-list.ts';
import type { FailureOutcome, ResponseOutcome } from '../core/outcome.ts';
import { REASONS } from '../core/reasons.ts';
import type { Reason } from '../core/reasons.ts';
import { verdictOf } from '../core/verdict.ts';
import type { Verdict } from '../core/verdict.ts';
import { statusRange, statusMatcher } from '../schema/status.ts';
import { headerName } from '../schema/scalars.ts';
import type { Classify } from './select-endpoint.ts';

const reasonNames = Object.keys(REASONS) as [Reason, ...Reason[]];

const pattern = z.string().refine(isPattern, { error: 'expected a regular expression' });

export const classifyRuleSchema = z
  .strictObject({
    status: z
      .array(statusRange)
      .min(1)
      .optional()
      .describe('Statuses it applies to: 503, "5xx" or "500-504".'),
    reason: z.array(z.enum(reasonNames)).min(1).optional().describe('Failure reasons it applies to.'),
    headers: z
      .record(headerName, pattern)
      .optional()
      .describe('Response headers that must be present; the value is a regular expression, unanchored.'),
    as: z
      .enum(['ok', 'transient', 'throttled', 'overloaded', 'permanent', 'quota', 'auth'])
      .describe('The class that such an outcome has.'),
  })
  .refine((rule) => rule.status !== undefined || rule.reason !== undefined || rule.headers !== undefined, {
    error: 'expected at least one of status, reason and headers',
  })
  .describe(
    'What an answer or failure means, where the default is wrong for this upstream. The first rule that fits decides.',
  );

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, 'i') instanceof RegExp;
  } catch {
    return false;
  }
}

export type ClassifyRule = z.output<typeof classifyRuleSchema>;

const UNUSABLE: Verdict = { class: 'permanent', result: 'failure' };

/** What a failure means for the upstream's health and for another try. */
function ofFailure(reason: Reason): Verdict {
  switch (reason) {
    case 'client_aborted':
    case 'superseded':
    case 'shutting_down':
    case 'bad_request':
      return verdictOf('abandoned');
    case 'tls_certificate_error':
      // Trying again shows the same certificate; the upstream is unusable all the same.
      return UNUSABLE;
    default:
      return verdictOf('transient');
  }
}

type Matcher = (outcome: ResponseOutcome | FailureOutcome) => boolean;

function matcherOf(rule: ClassifyRule): Matcher {
  const status = rule.status && statusMatcher(rule.status);
  const headers = Object.entries(rule.headers ?? {}).map(
    ([name, text]) => [name.toLowerCase(), new RegExp(text, 'i')] as const,
  );
  return (outcome) => {
    if (outcome.kind === 'failure') return rule.reason?.includes(outcome.reason) ?? false;
    // Of a rule for both, the reasons concern failures and the rest concerns responses.
    if (!status && headers.length === 0) return false;
    const { head } = outcome;
    if (status && !status(head.status)) return false;
    return headers.every(([name, wanted]) => headerValues(head.headers, name).some((is) => wanted.test(is)));
  };
}

export function classifier(rules: readonly ClassifyRule[], dialect: Dialect, wallTime: () => Date): Classify {
  const compiled = rules.map((rule) => ({ matches: matcherOf(rule), as: rule.as }));
  return (outcome) => {
    const own =
      outcome.kind === 'failure' ? ofFailure(outcome.reason) : dialect.classify(outcome.head, wallTime);
    if (own.class === 'abandoned') return own;
    const rule = compiled.find(({ matches }) => matches(outcome));
    return rule ? verdictOf(rule.as, own.retryAfterMs) : own;
  };
}
