import { describe, expect, it } from 'vitest';
import { AnswerFacts } from '../../src/core/dialect.ts';
import type { CallFacts, Dialect, LocalError } from '../../src/core/dialect.ts';
import { REASONS } from '../../src/core/reasons.ts';
import type { RequestHead } from '../../src/core/request.ts';
import { a2a, a2aDialect } from '../../src/dialects/a2a.ts';

const head = (method: string, target: string): RequestHead => ({ method, target, headers: [], host: 'x' });
const now = (): Date => new Date(0);

const rest = (method: string, target: string, json?: unknown, dialect: Dialect = a2a): CallFacts =>
  dialect.readCall!(head(method, target), () => json);

const rpc = (method: string, params: object = {}, dialect: Dialect = a2a): CallFacts =>
  dialect.readCall!(head('POST', '/'), () => ({ jsonrpc: '2.0', id: 5, method, params }));

const MESSAGE = { message: { messageId: 'm-1', parts: [] } };
const declared = a2aDialect({ idempotentMessages: true, rewriteCard: false });

describe('what a call is', () => {
  it.each([
    ['SendMessage', 'SendMessage', 'unsafe'],
    ['message/stream', 'SendStreamingMessage', 'unsafe'],
    ['tasks/get', 'GetTask', 'safe'],
    ['CancelTask', 'CancelTask', 'safe'],
    ['tasks/resubscribe', 'SubscribeToTask', 'safe'],
    ['tasks/pushNotificationConfig/set', 'CreateTaskPushNotificationConfig', 'unsafe'],
    ['agent/getAuthenticatedExtendedCard', 'GetExtendedAgentCard', 'safe'],
    ['x/y', 'x/y', 'unsafe'],
  ])('JSON-RPC %s is %s, which is %s to repeat', (method, operation, repeat) => {
    expect(rpc(method)).toMatchObject({ operation, repeat, id: 5 });
  });

  it.each([
    ['POST', '/message:send', 'SendMessage', 'unsafe'],
    ['POST', '/v1/message:stream', 'SendStreamingMessage', 'unsafe'],
    ['GET', '/tasks/t-1?historyLength=2', 'GetTask', 'safe'],
    ['GET', '/tenant/tasks', 'ListTasks', 'safe'],
    ['POST', '/tasks/t-1:cancel', 'CancelTask', 'safe'],
    ['POST', '/tasks/t-1:subscribe', 'SubscribeToTask', 'safe'],
    ['POST', '/tasks/t-1/pushNotificationConfigs', 'CreateTaskPushNotificationConfig', 'unsafe'],
    ['DELETE', '/tasks/t-1/pushNotificationConfigs/c', 'DeleteTaskPushNotificationConfig', 'safe'],
    ['GET', '/extendedAgentCard', 'GetExtendedAgentCard', 'safe'],
    ['GET', '/.well-known/agent-card.json', 'agent-card', 'safe'],
  ])('%s %s is %s, which is %s to repeat', (method, target, operation, repeat) => {
    expect(rest(method, target)).toMatchObject({ operation, repeat, id: undefined });
  });

  it('messages may be repeated where the agent is said to know them by their id', () => {
    expect(rpc('SendMessage', MESSAGE, declared).repeat).toBe('safe');
    expect(rest('POST', '/message:stream', MESSAGE, declared).repeat).toBe('safe');
    expect(rpc('SendMessage', { message: {} }, declared).repeat).toBe('unsafe');
    expect(rest('POST', '/message:send', undefined, declared).repeat).toBe('unsafe');
  });

  it('any other GET is nothing known', () => {
    expect(rest('GET', '/').operation).toBeUndefined();
  });
});

describe('JSON answers', () => {
  const read = (json: unknown, call: CallFacts): [string, string | undefined] => {
    const facts = new AnswerFacts();
    return [a2a.readJson!(json, call, facts).kind, facts.finishReason];
  };
  const answer = (result: object) => ({ jsonrpc: '2.0', id: 5, result });

  it.each([
    [answer({ task: { id: 't', status: { state: 'TASK_STATE_FAILED' } } }), 'failed'],
    [answer({ message: { parts: [] } }), 'message'],
    [answer({ kind: 'task', id: 't', status: { state: 'input-required' } }), 'input-required'],
    [{ jsonrpc: '2.0', id: 5, error: { code: -32001 } }, 'error'],
  ])('%j is the answer (%s): a failed task is no failing agent', (json, finish) => {
    expect(read(json, rpc('SendMessage'))).toEqual(['answer', finish]);
  });

  it.each([{}, answer({}), { jsonrpc: '2.0', id: 6, result: { message: {} } }])('%j is none', (json) => {
    expect(read(json, rpc('SendMessage'))[0]).toBe('empty');
  });

  it('HTTP+JSON has the same without an envelope; what lists nothing lists nothing', () => {
    expect(read({ message: {} }, rest('POST', '/message:send'))).toEqual(['answer', 'message']);
    expect(read({}, rest('POST', '/message:send'))[0]).toBe('empty');
    expect(read({}, rest('GET', '/tasks'))[0]).toBe('answer');
    expect(read({ id: 't', status: { state: 'working' } }, rest('GET', '/tasks/t'))).toEqual([
      'answer',
      'working',
    ]);
  });
});

describe('streams', () => {
  const status = (state: string, more = {}) => ({
    statusUpdate: { taskId: 't', status: { state }, ...more },
  });
  const inRpc = (result: unknown): string => JSON.stringify({ jsonrpc: '2.0', id: 5, result });
  const follow = (call = rpc('SendStreamingMessage')) => {
    const facts = new AnswerFacts();
    return { facts, reader: a2a.follow!(call, facts)! };
  };

  it.each(['COMPLETED', 'FAILED', 'CANCELED', 'REJECTED'])('end when the task is %s', (state) => {
    const { reader, facts } = follow();
    const events = [{ task: { id: 't', status: { state: 'TASK_STATE_SUBMITTED' } } }, { artifactUpdate: {} }];
    expect(events.map((event) => reader.read('', inRpc(event)))).toEqual(['content', 'content']);
    expect(reader.read('', inRpc(status(`TASK_STATE_${state}`)))).toBe('end');
    expect(facts.finishReason).toBe(state.toLowerCase());
    expect(reader.hasTerminator).toBe(true);
  });

  it('end with a message, with an update that says so, and with an error', () => {
    const error = JSON.stringify({ jsonrpc: '2.0', id: 5, error: { code: -32603, message: 'x' } });
    const final = { kind: 'status-update', status: { state: 'working' }, final: true };
    const ends = [inRpc({ message: {} }), inRpc(final), error].map((data) => follow().reader.read('', data));
    expect(ends).toEqual(['end', 'end', 'end']);
  });

  it('may end, but need not, where the agent waits for its client', () => {
    const { reader } = follow();
    reader.read('', inRpc(status('TASK_STATE_INPUT_REQUIRED')));
    expect(reader.hasTerminator).toBe(false);
    reader.read('', inRpc(status('TASK_STATE_WORKING')));
    expect(reader.hasTerminator).toBe(true);
  });

  it('of HTTP+JSON carry errors that are judged by their status', () => {
    const { reader } = follow(rest('POST', '/message:stream'));
    expect(reader.read('', JSON.stringify(status('TASK_STATE_WORKING')))).toBe('content');
    const error = { error: { code: 429, status: 'RESOURCE_EXHAUSTED', message: 'x' } };
    expect(reader.read('error', JSON.stringify(error))).toBe('error');
    const ok = { status: 200, statusText: '', headers: [] };
    expect(a2a.classify(ok, now, reader.error).class).toBe('throttled');
  });

  it('with a broken event are malformed', () => {
    expect(follow().reader.read('', '{"jso')).toBe('malformed');
  });
});

describe('what clients are told', () => {
  const local = (sent: 'no' | 'maybe', call: CallFacts): LocalError => ({
    ...REASONS.connection_reset,
    reason: 'connection_reset',
    detail: undefined,
    requestId: 'r-1',
    retryAfterMs: undefined,
    call,
    sent,
  });
  const rendered = (error: LocalError) => {
    const { status, body } = a2a.renderError(error);
    return { status, json: JSON.parse(body) as unknown };
  };

  it('a message that may have been heard: in JSON-RPC an error of the call, in HTTP+JSON a status', () => {
    expect(rendered(local('maybe', rpc('SendMessage')))).toMatchObject({
      status: 200,
      json: { id: 5, error: { code: -32010, data: { code: 'outcome_unknown' } } },
    });
    expect(rendered(local('maybe', rest('POST', '/message:send')))).toMatchObject({
      status: undefined,
      json: { error: { code: 502, status: 'UNAVAILABLE', details: [{ reason: 'OUTCOME_UNKNOWN' }] } },
    });
  });

  it('what was not sent, or changes nothing: the HTTP error that it is', () => {
    expect(rendered(local('no', rpc('SendMessage')))).toMatchObject({ status: undefined, json: { id: 5 } });
    expect(rendered(local('maybe', rpc('GetTask'))).status).toBeUndefined();
    expect(rendered(local('maybe', rest('GET', '/tasks/t')))).toMatchObject({
      json: { error: { details: [{ reason: 'CONNECTION_RESET' }] } },
    });
  });

  it('a stream that broke off: an event in the form of the binding', () => {
    expect(a2a.renderStreamError!(local('maybe', rpc('SubscribeToTask')))).toMatch(
      /^event: message\ndata: .*"id":5/,
    );
    expect(a2a.renderStreamError!(local('maybe', rest('POST', '/message:stream')))).toMatch(
      /^event: error\ndata: \{"error":\{"code":502/,
    );
  });
});

describe('agent cards', () => {
  const rewriting = a2aDialect({ idempotentMessages: false, rewriteCard: true });
  const place = { ours: 'http://here:1/agent', theirs: ['http://up:2', 'http://up:2/base'] };
  const ok = { status: 200, statusText: '', headers: [] };
  const rewrite = (json: unknown, call = rest('GET', '/.well-known/agent-card.json')) =>
    rewriting.rewrite!({ head: ok, json, call }, place);

  it('name the sidecar instead of the endpoint, in both generations', () => {
    const card = {
      name: 'a',
      supportedInterfaces: [
        { url: 'http://up:2/base/rpc' },
        { url: 'http://other/x' },
        { url: 'http://up:20/' },
      ],
    };
    expect(rewrite(card)?.json).toEqual({
      name: 'a',
      supportedInterfaces: [
        { url: 'http://here:1/agent/rpc' },
        { url: 'http://other/x' },
        { url: 'http://up:20/' },
      ],
    });
    const old = { url: 'http://up:2', additionalInterfaces: [{ url: 'http://up:2?x' }] };
    expect(rewrite(old)?.json).toEqual({
      url: 'http://here:1/agent',
      additionalInterfaces: [{ url: 'http://here:1/agent?x' }],
    });
  });

  it('inside JSON-RPC are rewritten, too', () => {
    const json = { jsonrpc: '2.0', id: 5, result: { url: 'http://up:2/' } };
    expect(rewrite(json, rpc('GetExtendedAgentCard'))?.json).toMatchObject({
      id: 5,
      result: { url: 'http://here:1/agent/' },
    });
  });

  it('that are signed, or name nobody known, stay as they are', () => {
    expect(rewrite({ url: 'http://up:2', signatures: [{}] })?.kept).toContain('signed');
    expect(rewrite({ url: 'http://other' })?.kept).toContain('no address');
  });

  it('are left alone unless that was asked for, like all that is no card', () => {
    expect('rewrite' in a2a).toBe(false);
    expect(rewrite({ url: 'http://up:2' }, rest('GET', '/tasks'))).toBeUndefined();
  });
});
