import { describe, expect, it } from 'vitest';
import { finalVerdict } from '../../src/core/outcome.ts';
import { VERDICT_CLASSES, verdictOf } from '../../src/core/verdict.ts';
import { fail, judged, refuse, respond } from '../support/policy-kit.ts';

describe('verdictOf', () => {
  it('counts failures of the upstream as such, and nothing that is the client’s doing or ours', () => {
    const results = Object.fromEntries(VERDICT_CLASSES.map((name) => [name, verdictOf(name).result]));
    expect(results).toEqual({
      ok: 'success',
      transient: 'failure',
      throttled: 'neutral',
      overloaded: 'failure',
      permanent: 'neutral',
      quota: 'neutral',
      auth: 'neutral',
      context_length: 'neutral',
      content_filter: 'neutral',
      abandoned: 'neutral',
      refused: 'neutral',
    });
  });

  it('carries a time where there is one, 0 included, and leaves the shared verdicts alone', () => {
    expect(verdictOf('throttled', 0)).toEqual({ class: 'throttled', result: 'neutral', retryAfterMs: 0 });
    expect(verdictOf('throttled')).toEqual({ class: 'throttled', result: 'neutral' });
    expect(verdictOf('ok')).toBe(verdictOf('ok'));
  });
});

describe('finalVerdict', () => {
  const end = (name: 'complete' | 'upstream-aborted' | 'timed-out' | 'client-aborted' | 'discarded') => ({
    end: name,
    bytes: 0,
  });

  it('is the verdict at the head while the body is on its way', () => {
    const answer = respond();
    expect(finalVerdict(answer, undefined)).toBe(answer.verdict);
  });

  it.each([
    ['complete', 'success'],
    ['upstream-aborted', 'failure'],
    ['timed-out', 'failure'],
    ['client-aborted', 'neutral'],
    ['discarded', 'neutral'],
  ] as const)('of a good answer whose body was %s is %s', (name, result) => {
    expect(finalVerdict(respond(200), end(name)).result).toBe(result);
  });

  it.each(['complete', 'upstream-aborted', 'timed-out', 'client-aborted', 'discarded'] as const)(
    'of a failing status stays a failure, whoever ended its body (%s)',
    (name) => {
      expect(finalVerdict(respond(503), end(name)).result).toBe('failure');
    },
  );

  it('of what is neutral stays neutral when it is complete', () => {
    expect(finalVerdict(respond(404), end('complete'))).toEqual(verdictOf('permanent'));
  });

  it('of what has no body is its own', () => {
    const failure = fail('connection_refused');
    expect(finalVerdict(failure, undefined)).toBe(failure.verdict);
    expect(finalVerdict(refuse(), undefined).class).toBe('refused');
    const odd = judged(verdictOf('quota'));
    expect(finalVerdict(respond(200, odd), undefined)).toBe(odd.verdict);
  });
});
