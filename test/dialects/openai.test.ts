import { describe, expect, it } from 'vitest';
import { headerValue } from '../../src/core/header-list.ts';
import type { Reason } from '../../src/core/reasons.ts';
import { REASONS } from '../../src/core/reasons.ts';
import type { VerdictClass } from '../../src/core/verdict.ts';
import { openai } from '../../src/dialects/openai.ts';
import { callOf } from './openai-rig.ts';

const wallTime = (): Date => new Date(0);
const judge = (status: number, json?: unknown, headers: readonly string[] = []) =>
  openai.classify({ status, statusText: '', headers }, wallTime, json);

const error = (parts: object): unknown => ({ error: { message: 'm', type: 't', param: null, ...parts } });

describe('the table of errors', () => {
  it.each<[string, number, unknown, VerdictClass]>([
    // OpenAI
    ['rate limit', 429, error({ code: 'rate_limit_exceeded', type: 'requests' }), 'throttled'],
    ['rate limit, by type alone', 429, error({ type: 'tokens', code: null }), 'throttled'],
    ['no credit', 429, error({ code: 'insufficient_quota', type: 'insufficient_quota' }), 'quota'],
    ['no credit, by type alone', 429, error({ type: 'insufficient_quota' }), 'quota'],
    ['balance used up', 429, error({ code: 'credit_balance_exhausted' }), 'quota'],
    ['limit of the organization', 429, error({ code: 'organization_spend_limit_exceeded' }), 'quota'],
    ['limit of the project', 429, error({ code: 'project_spend_limit_exceeded' }), 'quota'],
    ['usage of the organization', 429, error({ code: 'organization_usage_limit_exceeded' }), 'quota'],
    ['hard limit', 400, error({ code: 'billing_hard_limit_reached' }), 'quota'],
    ['overload', 503, error({ code: 'server_is_overloaded' }), 'overloaded'],
    ['slow down', 503, error({ code: 'slow_down' }), 'overloaded'],
    ['slow down as a 429', 429, error({ code: 'slow_down' }), 'overloaded'],
    ['context length', 400, error({ code: 'context_length_exceeded' }), 'context_length'],
    ['text too long', 400, error({ code: 'string_above_max_length' }), 'context_length'],
    ['content filter', 400, error({ code: 'content_filter' }), 'content_filter'],
    ['content policy', 400, error({ code: 'content_policy_violation' }), 'content_filter'],
    ['key', 401, error({ code: 'invalid_api_key' }), 'auth'],
    ['key, with an odd status', 400, error({ code: 'invalid_api_key' }), 'auth'],
    ['no permission', 403, error({}), 'auth'],
    ['unknown model', 404, error({ code: 'model_not_found' }), 'permanent'],
    ['bad request', 400, error({ type: 'invalid_request_error' }), 'permanent'],
    ['conflict', 409, error({}), 'permanent'],
    ['timeout', 408, error({}), 'transient'],
    ['server error', 500, error({ type: 'server_error' }), 'transient'],
    ['gateway', 502, undefined, 'transient'],
    // Azure
    [
      'Azure: filtered prompt',
      400,
      error({ code: 'content_filter', innererror: { code: 'ResponsibleAIPolicyViolation' } }),
      'content_filter',
    ],
    [
      'Azure: filtered prompt, by the inner code',
      400,
      error({ code: null, innererror: { code: 'ResponsibleAIPolicyViolation' } }),
      'content_filter',
    ],
    ['Azure: rate', 429, error({ code: '429' }), 'throttled'],
    // Groq
    ['Groq: capacity', 498, error({ code: 'capacity_exceeded' }), 'overloaded'],
    ['Groq: capacity without a body', 498, undefined, 'overloaded'],
    // OpenRouter
    ['OpenRouter: credits', 402, error({ code: 402 }), 'quota'],
    ['OpenRouter: moderation', 403, error({ code: 403 }), 'auth'],
    ['OpenRouter: no provider', 502, error({ code: 502 }), 'transient'],
    // Mistral
    [
      'Mistral: rate',
      429,
      { object: 'error', message: 'm', type: 'rate_limited', code: '1300' },
      'throttled',
    ],
    [
      'Mistral: too long',
      400,
      { object: 'error', message: 'Prompt contains too many tokens' },
      'context_length',
    ],
    // DeepSeek
    ['DeepSeek: balance', 402, error({ code: 'invalid_request_error' }), 'quota'],
    // vLLM, Ollama
    [
      'vLLM: too long',
      400,
      { object: 'error', message: "This model's maximum context length is 4096 tokens.", code: 400 },
      'context_length',
    ],
    ['vLLM: loading', 503, undefined, 'transient'],
    ['Ollama: no such model', 404, { error: 'model "x" not found' }, 'permanent'],
    ['engine overload', 503, error({ type: 'engine_overloaded' }), 'overloaded'],
  ])('%s (%i)', (_, status, json, expected) => {
    expect(judge(status, json).class).toBe(expected);
  });

  it('a 402 with a time to come back is about calls under way, not about money', () => {
    expect(judge(402, error({ code: 402 }), ['retry-after', '2'])).toEqual({
      class: 'throttled',
      result: 'neutral',
      retryAfterMs: 2_000,
    });
  });

  it('blames the upstream for 5xx and for what has no status, and for nothing that is a 4xx', () => {
    expect(judge(503, error({ code: 'slow_down' })).result).toBe('failure');
    expect(judge(498).result).toBe('neutral');
    expect(judge(429, error({ code: 'slow_down' })).result).toBe('neutral');
    expect(judge(200, error({ type: 'server_error' })).result).toBe('failure');
  });
});

describe('errors inside an answer that looked like a success', () => {
  it.each<[string, unknown, VerdictClass]>([
    ['without anything to go by', error({ code: null }), 'transient'],
    ['with the status as its code, as OpenRouter writes it', error({ code: 429 }), 'throttled'],
    ['with a status of 402', error({ code: 402 }), 'quota'],
    ['with a status of 400', error({ code: 400 }), 'permanent'],
    ['with a status of 502', error({ code: 502 }), 'transient'],
    ['with a code of OpenAI', error({ code: 'rate_limit_exceeded' }), 'throttled'],
    ['with no credit', error({ code: 'insufficient_quota' }), 'quota'],
    ['with a request that is wrong', error({ type: 'invalid_request_error' }), 'permanent'],
    ['in a Responses stream', { type: 'error', code: 'server_is_overloaded', message: 'm' }, 'overloaded'],
    ['without anything around it', { object: 'error', message: 'm', code: 400 }, 'permanent'],
    ['as a text', { error: 'out of memory' }, 'transient'],
    ['of a response that failed', { error: { code: 'rate_limit_exceeded', message: 'm' } }, 'throttled'],
  ])('%s', (_, json, expected) => {
    expect(judge(200, json).class).toBe(expected);
  });
});

describe('readCall', () => {
  it.each([
    ['/v1/chat/completions', 'chat', 'compute'],
    ['/openai/deployments/d/chat/completions?api-version=1', 'chat', 'compute'],
    ['/api/v1/chat/completions/', 'chat', 'compute'],
    ['/v1/completions', 'completion', 'compute'],
    ['/v1/embeddings', 'embeddings', 'compute'],
    ['/v1/moderations', 'moderation', 'compute'],
    ['/v1/images/generations', 'image', 'compute'],
    ['/v1/audio/speech', 'speech', 'compute'],
    ['/v1/audio/transcriptions', 'transcription', 'compute'],
    ['/v1/batches', undefined, 'unsafe'],
    ['/v1/files', undefined, 'unsafe'],
    ['/v1/fine_tuning/jobs', undefined, 'unsafe'],
    ['/v1/responses/resp_1/cancel', undefined, 'unsafe'],
    ['/v1/chat/completions/chatcmpl-1', undefined, 'unsafe'],
  ])('POST %s is %s, to repeat it is %s', (target, operation, repeat) => {
    expect(callOf(target)).toMatchObject({ operation, repeat });
  });

  it('what is not posted is no call of the API', () => {
    expect(callOf('/v1/chat/completions', {}, 'GET')).toMatchObject({ operation: undefined });
  });

  it.each<[string, unknown, string]>([
    ['a plain response', { model: 'm', input: 'x' }, 'compute'],
    ['tools of the client', { tools: [{ type: 'function' }, { type: 'web_search' }] }, 'compute'],
    ['a background job', { background: true }, 'unsafe'],
    ['a turn of a conversation', { conversation: 'conv_1' }, 'unsafe'],
    ['no conversation', { conversation: null, background: false }, 'compute'],
    ['tools that the provider calls itself', { tools: [{ type: 'mcp', server_url: 'x' }] }, 'unsafe'],
    ['nothing', null, 'unsafe'],
    ['a body that is no object', [1], 'unsafe'],
  ])('to repeat %s is %s', (_, json, repeat) => {
    expect(callOf('/v1/responses', json).repeat).toBe(repeat);
  });

  it('reads model and stream from the body, when they are asked for and not before', () => {
    let asked = 0;
    const request = { method: 'POST', target: '/v1/chat/completions', headers: [], host: 'h' };
    const call = openai.readCall?.(request, () => {
      asked += 1;
      return { model: 'm', stream: true };
    });
    expect([call?.operation, asked]).toEqual(['chat', 0]);
    expect([call?.model, call?.stream, asked]).toEqual(['m', true, 1]);
    expect(callOf('/v1/chat/completions', { model: 7, stream: 'yes' })).toMatchObject({
      model: undefined,
      stream: false,
    });
  });
});

describe('what we say', () => {
  const local = (reason: Reason, more: object = {}) => ({
    status: REASONS[reason].status,
    reason,
    title: REASONS[reason].title,
    detail: undefined,
    requestId: 'r',
    retryAfterMs: undefined,
    call: callOf('/v1/chat/completions'),
    sent: 'maybe' as const,
    ...more,
  });
  const bodyOf = (...args: Parameters<typeof local>): unknown =>
    (JSON.parse(openai.renderError(local(...args)).body) as { error: unknown }).error;

  it('is JSON in the provider’s own shape', () => {
    const { headers } = openai.renderError(local('circuit_open'));
    expect(headerValue(headers, 'content-type')).toBe('application/json');
    expect(bodyOf('circuit_open', { detail: 'More of it.' })).toEqual({
      message: 'The circuit breaker of this upstream is open. More of it.',
      type: 'server_error',
      param: null,
      code: 'circuit_open',
    });
  });

  it.each([
    [400, 'invalid_request_error'],
    [404, 'invalid_request_error'],
    [413, 'invalid_request_error'],
    [429, 'rate_limit_error'],
    [502, 'server_error'],
  ])('a %i is of type %s', (status, type) => {
    expect(bodyOf('upstream_error', { status })).toMatchObject({ type });
  });

  it('keeps the upstream’s own code and type, which clients know', () => {
    const said = error({ code: 'insufficient_quota', type: 'insufficient_quota', param: 'model' });
    expect(bodyOf('upstream_error', { status: 429, said, detail: 'You have no credit.' })).toEqual({
      message: 'The upstream sent an error inside its answer. You have no credit.',
      type: 'insufficient_quota',
      param: 'model',
      code: 'insufficient_quota',
    });
  });

  it('does not repeat what is no code', () => {
    const said = error({ code: 502, type: 'x'.repeat(101) });
    expect(bodyOf('upstream_error', { said })).toMatchObject({
      code: 'upstream_error',
      type: 'server_error',
    });
    expect(bodyOf('upstream_error', { said: 'text' })).toMatchObject({ code: 'upstream_error' });
  });

  it('ends a stream with an error event of the kind that clients raise', () => {
    const event = openai.renderStreamError?.(local('response_incomplete')) ?? '';
    expect(event).toMatch(
      /^event: error\ndata: \{"error":\{"message":.*"code":"response_incomplete"\}\}\n\n$/,
    );
  });

  it('ends a Responses stream with its own kind of error event', () => {
    const event = openai.renderStreamError?.(
      local('idle_timeout', { call: callOf('/v1/responses', { stream: true }) }),
    );
    const data = JSON.parse(event?.split('\ndata: ')[1] ?? '') as object;
    expect(data).toMatchObject({
      type: 'error',
      sequence_number: 0,
      code: 'idle_timeout',
      message: REASONS.idle_timeout.title,
      error: { code: 'idle_timeout', type: 'server_error' },
    });
  });
});
