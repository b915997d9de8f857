import { describe, expect, it } from 'vitest';
import { UNKNOWN_CALL } from '../../src/core/dialect.ts';
import { callMatcher } from '../../src/endpoints/match-call.ts';

const call = { ...UNKNOWN_CALL, operation: 'tools/call', tool: 'search_web' };

describe('matching calls', () => {
  it.each([
    [{ method: 'tools/call' }, true],
    [{ method: 'tools/*', tool: 'search*' }, true],
    [{ method: 'tools/*', tool: 'send' }, false],
    [{ tool: ['send', 'search_web'] }, true],
    [{ model: '*' }, false],
  ])('%j: %s', (match, fits) => {
    expect(callMatcher(match)(call)).toBe(fits);
  });

  it('a call of which nothing is known fits nothing', () => {
    expect(callMatcher({ method: '*' })(UNKNOWN_CALL)).toBe(false);
  });
});
