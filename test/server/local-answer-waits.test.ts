import { expect, it } from 'vitest';
import { headerValue } from '../../src/core/header-list.ts';
import { openai } from '../../src/dialects/openai.ts';
import { localAnswer } from '../../src/server/local-answer.ts';

it.each([
  ['throttled', 429, '1'],
  ['overloaded', 503, '1'],
  ['quota', 429, undefined],
  ['permanent', 400, undefined],
] as const)(
  'an error inside an answer of class %s is a %i that says to wait: %s',
  (verdictClass, status, wait) => {
    const { head } = localAnswer({
      reason: 'upstream_error',
      dialect: openai,
      pseudonym: 'here',
      requestId: 'r',
      verdictClass,
    });
    expect(head.status).toBe(status);
    expect(headerValue(head.headers, 'retry-after')).toBe(wait);
  },
);
