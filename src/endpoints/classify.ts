/** Turns what an attempt brought into a verdict: the operator's rules first, then the dialect's own knowledge. */
import { z } from 'zod';
import { ruleFinder } from '../algorithms/error-rules.ts';
import type { Dialect, ErrorRule } from '../core/dialect.ts';
import type { Classify } from '../core/exchange.ts';
import type { FailureOutcome, ResponseOutcome } from '../core/outcome.ts';
import { REASONS } from '../core/reasons.ts';
import type { Reason } from '../core/reasons.ts';
import { ANSWER_CLASSES, verdictOf } from '../core/verdict.ts';
import type { Verdict } from '../core/verdict.ts';
import { statusRange } from '../schema/status.ts';
import { headerName } from '../schema/scalars.ts';

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
    body: z
      .record(
        z.string().regex(/^(\/.*)?$/, { error: 'expected a JSON pointer such as "/error/code"' }),
        pattern,
      )
      .optional()
      .describe(
        'What an error body must hold: a JSON pointer, in which `*` stands for any member, and a regular expression for the value there. Bodies are read of protocols that the dialect knows.',
      ),
    as: z.enum(ANSWER_CLASSES).describe('The class that such an outcome has.'),
  })
  .refine(
    ({ status, reason, headers, body }) => [status, reason, headers, body].some((part) => part !== undefined),
    { error: 'expected at least one of status, reason, headers and body' },
  )
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

/** Of a rule for both, the reasons concern failures and the rest concerns answers. */
function answerRules(rules: readonly ClassifyRule[]): (ErrorRule & { readonly as: ClassifyRule['as'] })[] {
  return rules.flatMap(({ status, headers, body, as }) =>
    status || headers || body
      ? [{ as, ...(status && { status }), ...(headers && { headers }), ...(body && { body }) }]
      : [],
  );
}

const NO_HEADERS: readonly string[] = [];

export function classifier(rules: readonly ClassifyRule[], dialect: Dialect, wallTime: () => Date): Classify {
  const findForAnswer = ruleFinder(answerRules(rules));
  const ruleOf = (outcome: ResponseOutcome | FailureOutcome): Pick<ClassifyRule, 'as'> | undefined => {
    if (outcome.kind === 'response')
      return findForAnswer({
        status: outcome.head.status,
        headers: outcome.head.headers,
        json: outcome.json,
      });
    const byReason = rules.find(({ reason }) => reason?.includes(outcome.reason));
    if (byReason || outcome.json === undefined) return byReason;
    return findForAnswer({
      status: undefined,
      headers: outcome.head?.headers ?? NO_HEADERS,
      json: outcome.json,
    });
  };
  return (outcome) => {
    const own = ownVerdict(outcome, dialect, wallTime);
    if (own.class === 'abandoned') return own;
    const rule = ruleOf(outcome);
    return rule ? verdictOf(rule.as, own.retryAfterMs) : own;
  };
}

function ownVerdict(
  outcome: ResponseOutcome | FailureOutcome,
  dialect: Dialect,
  wallTime: () => Date,
): Verdict {
  if (outcome.kind === 'response') {
    const { head, json } = outcome;
    // A success stays one, whatever it says: what only looked like one has become a failure before it came here.
    return dialect.classify(head, wallTime, head.status >= 400 ? json : undefined);
  }
  return outcome.json !== undefined && outcome.head
    ? dialect.classify(outcome.head, wallTime, outcome.json)
    : ofFailure(outcome.reason);
}
