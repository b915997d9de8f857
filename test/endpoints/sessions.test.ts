import { describe, expect, it } from 'vitest';
import type { ResponseHead } from '../../src/core/outcome.ts';
import type { RequestHead } from '../../src/core/request.ts';
import { Sessions } from '../../src/endpoints/sessions.ts';

const request = (session?: string, method = 'POST'): RequestHead => ({
  method,
  target: '/mcp',
  headers: session === undefined ? [] : ['Mcp-Session-Id', session],
  host: 'x',
});

const answer = (status: number, session?: string): ResponseHead => ({
  status,
  statusText: '',
  headers: session === undefined ? [] : ['mcp-session-id', session],
});

const known = (): Sessions => {
  const sessions = new Sessions('mcp-session-id');
  sessions.answered(request(), answer(200, 's-1'), 'one');
  return sessions;
};

describe('where sessions live', () => {
  it('is learnt from the answer that begins one', () => {
    const sessions = known();
    expect(sessions.endpointOf(request('s-1'))).toBe('one');
    expect([request(), request('s-2')].map((head) => sessions.endpointOf(head))).toEqual([
      undefined,
      undefined,
    ]);
  });

  it('is learnt from any endpoint that accepts one, such as after a restart', () => {
    const sessions = new Sessions('mcp-session-id');
    sessions.answered(request('s-1'), answer(202), 'two');
    expect(sessions.endpointOf(request('s-1'))).toBe('two');
  });

  it.each([400, 401, 404, 500, 503])('is not learnt from an answer of status %d', (status) => {
    const sessions = new Sessions('mcp-session-id');
    sessions.answered(request('s-1'), answer(status), 'two');
    expect(sessions.size).toBe(0);
  });

  it('is forgotten when its endpoint does not know it any more, or ended it', () => {
    const [expired, ended] = [known(), known()];
    expired.answered(request('s-1'), answer(404), 'two');
    expect(expired.endpointOf(request('s-1'))).toBe('one');
    expired.answered(request('s-1'), answer(404), 'one');
    ended.answered(request('s-1', 'DELETE'), answer(204), 'one');
    expect([expired.size, ended.size]).toEqual([0, 0]);
  });

  it('is kept for ten thousand at most, the least recently used going first', () => {
    const sessions = known();
    sessions.answered(request(), answer(200, 's-2'), 'two');
    sessions.endpointOf(request('s-1'));
    for (let n = 3; n <= 10_001; n++) sessions.answered(request(), answer(200, `s-${n}`), 'two');
    expect(sessions.size).toBe(10_000);
    expect([sessions.endpointOf(request('s-1')), sessions.endpointOf(request('s-2'))]).toEqual([
      'one',
      undefined,
    ]);
  });

  it('is not remembered under a very long name', () => {
    const sessions = new Sessions('mcp-session-id');
    sessions.answered(request(), answer(200, 's'.repeat(257)), 'one');
    expect(sessions.size).toBe(0);
  });
});
