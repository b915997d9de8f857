import { describe, expect, it } from 'vitest';
import type { Attempt, Exchange } from '../../src/core/exchange.ts';
import type { Completion, Outcome } from '../../src/core/outcome.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import type { VerdictClass } from '../../src/core/verdict.ts';
import { effectOf, finalEffect } from '../../src/idempotency/effect.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { attemptAt, exchangeAt, fail, refuse, respond } from '../support/policy-kit.ts';

const clock = new FakeClock();

/** One that was answered, or failed. */
function tried(exchange: Exchange, sent: 'no' | 'maybe', status?: number): Attempt {
  const attempt = attemptAt(clock, exchange);
  attempt.sent = sent;
  attempt.status = status;
  attempt.verdict = status === undefined ? verdictOf('transient') : respond(status).verdict;
  return attempt;
}

type Try = readonly ['no' | 'maybe', number?];

function effectAfter(tries: readonly Try[], outcome: Outcome, idempotent = false): string {
  const exchange = exchangeAt(clock, { request: { method: 'POST' }, upstream: { idempotent } });
  const attempts = tries.map(([sent, status]) => tried(exchange, sent, status));
  return effectOf(exchange, attempts, outcome);
}

describe('the effect of a call', () => {
  it.each<readonly [string, readonly Try[], Outcome, string]>([
    ['an answer', [['maybe', 200]], respond(200), 'answered'],
    ['an error', [['maybe', 500]], respond(500), 'answered'],
    ['an answer after a try that may have acted', [['maybe'], ['maybe', 200]], respond(200), 'answered'],
    ['a refusal of ours', [], refuse('circuit_open'), 'none'],
    ['a refusal of ours after a try that may have acted', [['maybe']], refuse('circuit_open'), 'unknown'],
    ['a refusal of ours after one that was not sent', [['no']], refuse('circuit_open'), 'none'],
    ['a failure that was not sent', [['no']], fail('connection_refused', { requestSent: 'no' }), 'none'],
    ['a failure that may have been read', [['maybe']], fail(), 'unknown'],
    ['a failure before there was a try', [], fail('deadline_exceeded', { requestSent: 'no' }), 'none'],
    [
      'an unsent failure after a try that may have acted',
      [['maybe'], ['no']],
      fail('connection_refused'),
      'unknown',
    ],
    ['a 429', [['no', 429]], respond(429), 'none'],
    ['a 401', [['maybe', 401]], respond(401), 'none'],
    [
      'a 401 before a 429',
      [
        ['maybe', 401],
        ['no', 429],
      ],
      respond(429),
      'none',
    ],
    ['a 429 after a try that may have acted', [['maybe'], ['no', 429]], respond(429), 'unknown'],
    ['a 429 that we made up', [], respond(429, { from: 'fallback' }), 'answered'],
    [
      'a 429 after a 500',
      [
        ['maybe', 500],
        ['no', 429],
      ],
      respond(429),
      'unknown',
    ],
  ])('%s', (_, tries, outcome, effect) => {
    expect(effectAfter(tries, outcome)).toBe(effect);
  });

  it('is known while a try beside the one that won is still under way', () => {
    const exchange = exchangeAt(clock, { request: { method: 'POST' } });
    const spare = attemptAt(clock, exchange);
    expect(effectOf(exchange, [spare], refuse('no_endpoint'))).toBe('none');
    spare.phase = 'waiting';
    expect(effectOf(exchange, [spare], refuse('no_endpoint'))).toBe('unknown');
  });

  it('does not matter where a repetition does no harm', () => {
    expect(effectAfter([['maybe']], fail(), true)).toBe('none');
    expect(effectAfter([['maybe', 200]], respond(200), true)).toBe('answered');
  });
});

describe('the effect at the end of an answer', () => {
  const at = (status: number, completion: Partial<Completion>, idempotent = false): string => {
    const exchange = exchangeAt(clock, { request: { method: 'POST' }, upstream: { idempotent } });
    return finalEffect(exchange, respond(status), { end: 'complete', bytes: 0, ...completion });
  };
  const inside = (name: VerdictClass): Partial<Completion> => ({ verdict: verdictOf(name) });

  it('is what was answered, whatever that says', () => {
    expect([at(200, {}), at(500, {}), at(200, inside('transient'))]).toEqual(Array(3).fill('answered'));
  });

  it.each(['upstream-aborted', 'timed-out', 'client-aborted', 'discarded'] as const)(
    'is unknown: %s',
    (end) => {
      expect(at(200, { end })).toBe('unknown');
    },
  );

  it('counts for good answers alone where a repetition does no harm', () => {
    expect(at(200, {}, true)).toBe('answered');
    const bad = [
      at(500, {}, true),
      at(200, { end: 'upstream-aborted' }, true),
      at(200, inside('quota'), true),
    ];
    expect(bad).toEqual(['none', 'none', 'none']);
  });
});
