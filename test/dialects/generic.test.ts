import { describe, expect, it } from 'vitest';
import { UNKNOWN_CALL } from '../../src/core/dialect.ts';
import type { VerdictClass } from '../../src/core/verdict.ts';
import { generic } from '../../src/dialects/generic.ts';

const wallTime = (): Date => new Date(0);
const headOf = (status: number, headers: readonly string[] = []) => ({ status, statusText: '', headers });
const judge = (status: number, headers: readonly string[] = []) =>
  generic.classify(headOf(status, headers), wallTime);

describe('the generic dialect', () => {
  describe('judges by status', () => {
    const cases: readonly [readonly number[], VerdictClass, 'success' | 'failure' | 'neutral'][] = [
      [[101, 200, 201, 204, 206, 301, 302, 304, 399], 'ok', 'success'],
      [[400, 404, 405, 409, 410, 411, 413, 415, 422, 431, 451, 499], 'permanent', 'neutral'],
      [[401, 403, 407], 'auth', 'neutral'],
      [[402], 'quota', 'neutral'],
      [[408, 425], 'transient', 'neutral'],
      [[429], 'throttled', 'neutral'],
      [[500, 502, 503, 504, 507, 520, 522, 524, 599], 'transient', 'failure'],
      [[501, 505], 'permanent', 'neutral'],
      [[511], 'auth', 'neutral'],
      [[529], 'overloaded', 'failure'],
    ];
    for (const [statuses, name, result] of cases) {
      it.each(statuses)(`%i is ${name}, for health ${result}`, (status) => {
        expect(judge(status)).toEqual({ class: name, result });
      });
    }
  });

  it('blames no upstream for any 4xx', () => {
    for (let status = 400; status < 500; status++) expect(judge(status).result).toBe('neutral');
  });

  it('takes a 503 that names a time for a refusal before any work', () => {
    expect(judge(503, ['retry-after', '3'])).toEqual({
      class: 'overloaded',
      result: 'failure',
      retryAfterMs: 3_000,
    });
    expect(judge(503, ['retry-after', 'soon'])).toEqual({ class: 'transient', result: 'failure' });
  });

  it('reads Retry-After on every refusal, and on no good answer', () => {
    expect(judge(429, ['retry-after-ms', '20']).retryAfterMs).toBe(20);
    expect(judge(500, ['retry-after', '1']).retryAfterMs).toBe(1_000);
    expect(judge(408, ['retry-after', '1'])).toEqual({
      class: 'transient',
      result: 'neutral',
      retryAfterMs: 1_000,
    });
    expect(judge(202, ['retry-after', '1'])).toEqual({ class: 'ok', result: 'success' });
  });

  it.each([
    'text/event-stream',
    'text/event-stream; charset=utf-8',
    'TEXT/Event-Stream',
    'application/x-ndjson',
    'application/jsonl',
    'application/stream+json',
    'application/grpc',
    'application/grpc+proto',
    'application/vnd.amazon.eventstream',
    'multipart/x-mixed-replace; boundary=x',
  ])('knows %s for a stream', (type) => {
    expect(generic.isStream(headOf(200, ['Content-Type', type]))).toBe(true);
  });

  it.each([
    'application/json',
    'text/event-streams',
    'text/plain',
    'application/octet-stream',
    'video/mp4',
    '',
  ])('does not take %j for a stream', (type) => {
    expect(generic.isStream(headOf(200, ['content-type', type]))).toBe(false);
  });

  it('does not take an answer without a type for a stream', () => {
    expect(generic.isStream(headOf(200))).toBe(false);
  });

  describe('makes errors as problem details', () => {
    const error = {
      status: 503,
      reason: 'circuit_open' as const,
      title: 'The circuit breaker of this upstream is open.',
      detail: 'since 3 s',
      requestId: 'r-1',
      retryAfterMs: 1_200.4,
      call: UNKNOWN_CALL,
      sent: 'no' as const,
    };

    it('with a code to branch on', () => {
      const { headers, body } = generic.renderError(error);
      expect(headers).toEqual(['content-type', 'application/problem+json']);
      expect(JSON.parse(body)).toEqual({
        title: error.title,
        status: 503,
        detail: 'since 3 s',
        code: 'circuit_open',
        requestId: 'r-1',
        retryAfterMs: 1_201,
      });
    });

    it('without what there is not', () => {
      const { body } = generic.renderError({ ...error, detail: undefined, retryAfterMs: undefined });
      expect(Object.keys(JSON.parse(body) as object)).toEqual(['title', 'status', 'code', 'requestId']);
    });

    it('with a time of 0 where there is one', () => {
      const { body } = generic.renderError({ ...error, retryAfterMs: 0 });
      expect(JSON.parse(body)).toMatchObject({ retryAfterMs: 0 });
    });
  });
});
