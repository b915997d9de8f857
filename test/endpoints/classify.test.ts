import { describe, expect, it } from 'vitest';
import { REASONS } from '../../src/core/reasons.ts';
import type { Reason } from '../../src/core/reasons.ts';
import { generic } from '../../src/dialects/generic.ts';
import { classifier, classifyRuleSchema } from '../../src/endpoints/classify.ts';
import { fail, respond } from '../support/policy-kit.ts';

const wallTime = (): Date => new Date(0);
const judgeBy = (...rules: readonly unknown[]) =>
  classifier(
    rules.map((rule) => classifyRuleSchema.parse(rule)),
    generic,
    wallTime,
  );
/** A failure, without a verdict of its own. */
const failed = (reason: Reason) => fail(reason);

describe('classifier: failures', () => {
  const judge = judgeBy();

  it.each(['client_aborted', 'superseded', 'shutting_down', 'bad_request'] as const)(
    'takes %s for nobody’s failure',
    (reason) => {
      expect(judge(failed(reason))).toEqual({ class: 'abandoned', result: 'neutral' });
    },
  );

  it('takes a bad certificate for a failure that no other try mends', () => {
    expect(judge(failed('tls_certificate_error'))).toEqual({ class: 'permanent', result: 'failure' });
  });

  it('takes every other reason for transient', () => {
    const others = (Object.keys(REASONS) as Reason[]).filter(
      (reason) =>
        !['client_aborted', 'superseded', 'shutting_down', 'bad_request', 'tls_certificate_error'].includes(
          reason,
        ),
    );
    for (const reason of others)
      expect(judge(failed(reason)), reason).toEqual({ class: 'transient', result: 'failure' });
  });
});

describe('classifier: an operator’s rules', () => {
  it('come first, and the first that fits decides', () => {
    const judge = judgeBy(
      { status: [404], as: 'transient' },
      { status: ['4xx'], as: 'quota' },
      { status: [404], as: 'ok' },
    );
    expect(judge(respond(404)).class).toBe('transient');
    expect(judge(respond(403)).class).toBe('quota');
    expect(judge(respond(500)).class).toBe('transient');
    expect(judge(respond(200)).class).toBe('ok');
  });

  it.each([
    [[503], 503, true],
    [['5xx'], 599, true],
    [['5xx'], 499, false],
    [['500-504'], 504, true],
    [['500-504'], 505, false],
    [['418'], 418, true],
    [[200, 418], 418, true],
  ])('by status %j: %i %s', (status, given, fits) => {
    expect(judgeBy({ status, as: 'quota' })(respond(given)).class === 'quota').toBe(fits);
  });

  it('by reason, for failures only', () => {
    const judge = judgeBy({ reason: ['connection_refused'], as: 'overloaded' });
    expect(judge(failed('connection_refused'))).toEqual({ class: 'overloaded', result: 'failure' });
    expect(judge(failed('connection_reset')).class).toBe('transient');
    expect(judge(respond(503)).class).toBe('transient');
  });

  it('by header, as an unanchored pattern in whatever case', () => {
    const judge = judgeBy({ headers: { 'X-Error-Code': 'quota' }, as: 'quota' });
    expect(judge(respond(400, { headers: ['x-error-code', 'insufficient_QUOTA'] })).class).toBe('quota');
    expect(judge(respond(400, { headers: ['x-error-code', 'other'] })).class).toBe('permanent');
    expect(judge(respond(400)).class).toBe('permanent');
  });

  it('by any of several fields of that name', () => {
    const judge = judgeBy({ headers: { 'x-flag': '^b$' }, as: 'quota' });
    expect(judge(respond(400, { headers: ['x-flag', 'a', 'X-Flag', 'b'] })).class).toBe('quota');
  });

  it.each(['', '.*', '^', '[^a]'])(
    'by a header that must be there, however little the pattern %j asks',
    (wanted) => {
      const judge = judgeBy({ headers: { 'x-flag': wanted }, as: 'quota' });
      expect(judge(respond(400)).class).toBe('permanent');
      expect(judge(respond(400, { headers: ['x-flag', 'b'] })).class).toBe('quota');
    },
  );

  it('by status and header together: both must fit', () => {
    const judge = judgeBy({ status: [400], headers: { 'x-flag': 'a', 'x-other': 'b' }, as: 'quota' });
    expect(judge(respond(400, { headers: ['x-flag', 'a', 'x-other', 'b'] })).class).toBe('quota');
    expect(judge(respond(400, { headers: ['x-flag', 'a'] })).class).toBe('permanent');
    expect(judge(respond(404, { headers: ['x-flag', 'a', 'x-other', 'b'] })).class).toBe('permanent');
  });

  it('by status for answers and by reason for failures, in one rule', () => {
    const judge = judgeBy({ status: [404], reason: ['connection_refused'], as: 'overloaded' });
    expect(judge(respond(404)).class).toBe('overloaded');
    expect(judge(failed('connection_refused')).class).toBe('overloaded');
    expect(judge(respond(400)).class).toBe('permanent');
    expect(judge(failed('dns_error')).class).toBe('transient');
  });

  it('keep the time that the upstream asked for', () => {
    const judge = judgeBy({ status: [503], as: 'throttled' });
    expect(judge(respond(503, { headers: ['retry-after', '2'] }))).toEqual({
      class: 'throttled',
      result: 'neutral',
      retryAfterMs: 2_000,
    });
  });

  it('cannot make the upstream responsible for what the client did', () => {
    const judge = judgeBy({ reason: ['client_aborted', 'superseded'], as: 'transient' });
    expect(judge(failed('client_aborted')).class).toBe('abandoned');
  });

  it('can make a good answer bad and a bad one good', () => {
    const judge = judgeBy(
      { status: [200], headers: { 'content-length': '^0$' }, as: 'transient' },
      { status: [404], as: 'ok' },
    );
    expect(judge(respond(200, { headers: ['content-length', '0'] }))).toMatchObject({ result: 'failure' });
    expect(judge(respond(404))).toMatchObject({ class: 'ok', result: 'success' });
  });
});

describe('classify rules', () => {
  it.each<[unknown, string]>([
    [{ as: 'ok' }, 'nothing to fit'],
    [{ status: [], as: 'ok' }, 'no status'],
    [{ status: [99], as: 'ok' }, 'no such status'],
    [{ status: ['6xx'], as: 'ok' }, 'no such class'],
    [{ reason: ['bad_luck'], as: 'ok' }, 'no such reason'],
    [{ status: [500], as: 'abandoned' }, 'a class that is ours to give'],
    [{ status: [500], as: 'ok', other: 1 }, 'an unknown key'],
    [{ headers: { 'x a': '.' }, as: 'ok' }, 'no header name'],
    [{ headers: { 'x-a': '(' }, as: 'ok' }, 'no regular expression'],
  ])('%j is refused: %s', (rule) => {
    expect(classifyRuleSchema.safeParse(rule).success).toBe(false);
  });

  it('say where a pattern is wrong', () => {
    const result = classifyRuleSchema.safeParse({ headers: { 'x-a': '(' }, as: 'ok' });
    expect(result.error?.issues).toMatchObject([
      { path: ['headers', 'x-a'], message: 'expected a regular expression' },
    ]);
  });
});
