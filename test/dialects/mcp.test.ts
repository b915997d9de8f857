import { describe, expect, it } from 'vitest';
import { AnswerFacts } from '../../src/core/dialect.ts';
import type { CallFacts, Dialect, LocalError } from '../../src/core/dialect.ts';
import { REASONS } from '../../src/core/reasons.ts';
import type { Reason } from '../../src/core/reasons.ts';
import type { RequestHead } from '../../src/core/request.ts';
import { LearntTools } from '../../src/dialects/learnt-tools.ts';
import { mcp, mcpDialect } from '../../src/dialects/mcp.ts';

const post = (...headers: string[]): RequestHead => ({ method: 'POST', target: '/mcp', headers, host: 'x' });

const callOf = (json: unknown, dialect: Dialect = mcp, request = post()): CallFacts =>
  dialect.readCall!(request, () => json);

const request = (method: string, params?: object, id: string | number = 7) => ({
  jsonrpc: '2.0',
  id,
  method,
  ...(params && { params }),
});

const toolCall = (name: string) => request('tools/call', { name, arguments: { q: 'x' } });

const tools = {
  options: { idempotentTools: ['search*', 'get'], trustAnnotations: false, rewriteMetadata: false },
};

describe('what a call is', () => {
  it('method, tool and id are those of the body', () => {
    expect(callOf(toolCall('send'))).toMatchObject({ operation: 'tools/call', tool: 'send', id: 7 });
  });

  it.each(['initialize', 'ping', 'tools/list', 'resources/read', 'prompts/get', 'notifications/cancelled'])(
    '%s may be repeated',
    (method) => expect(callOf(request(method)).repeat).toBe('safe'),
  );

  it.each(['tools/call', 'tasks/update', 'x/y'])('%s may not be repeated', (method) => {
    expect(callOf(request(method, { name: 'send' })).repeat).toBe('unsafe');
  });

  it("a client's answer to a question of the server may be repeated, and wants no answer", () => {
    const call = callOf({ jsonrpc: '2.0', id: 3, result: { action: 'accept' } });
    expect(call).toMatchObject({ operation: undefined, id: undefined, repeat: 'safe' });
  });

  it('declared tools may be repeated, by name or pattern', () => {
    const dialect = mcpDialect(tools.options);
    expect(
      ['search_web', 'get', 'get_all', 'research'].map((name) => callOf(toolCall(name), dialect).repeat),
    ).toEqual(['safe', 'safe', 'unsafe', 'unsafe']);
  });

  it('a batch is as safe as its least safe part', () => {
    expect(callOf([request('ping'), request('tools/list')])).toMatchObject({
      operation: 'batch',
      repeat: 'safe',
    });
    expect(callOf([request('ping'), toolCall('send')]).repeat).toBe('unsafe');
  });

  it.each([null, 3, 'x', [], [3], {}])('%j as a body is no call that may be repeated', (json) => {
    expect(callOf(json)).toMatchObject({ operation: undefined, id: undefined, repeat: 'unsafe' });
  });

  it('without the body, the head of the stateless form tells method and tool', () => {
    const head = post('Mcp-Method', 'tools/call', 'Mcp-Name', 'search_web');
    const call = callOf(undefined, mcpDialect(tools.options), head);
    expect(call).toMatchObject({
      operation: 'tools/call',
      tool: 'search_web',
      id: undefined,
      repeat: 'safe',
    });
  });

  it('a name in base64 is read', () => {
    const name = `=?base64?${Buffer.from('grüße').toString('base64')}?=`;
    expect(callOf(undefined, mcp, post('mcp-method', 'tools/call', 'mcp-name', name)).tool).toBe('grüße');
  });

  it('a head that contradicts its body is not believed', () => {
    const call = callOf(toolCall('send'), mcp, post('mcp-method', 'tools/list'));
    expect(call).toMatchObject({ operation: 'tools/call', repeat: 'unsafe' });
  });

  it('asked before the body has come, it is asked again', () => {
    let json: unknown;
    const call = mcp.readCall!(post(), () => json);
    expect(call.operation).toBeUndefined();
    json = toolCall('send');
    expect(call.tool).toBe('send');
    json = undefined;
    expect(call.tool).toBe('send');
  });

  it('a GET for events is the stream of the server; any other GET is nothing known', () => {
    const head = { ...post('accept', 'text/event-stream'), method: 'GET' };
    expect(callOf(undefined, mcp, head)).toMatchObject({ operation: 'listen', stream: true, repeat: 'safe' });
    expect(callOf(undefined, mcp, { ...post(), method: 'GET' }).operation).toBeUndefined();
  });
});

describe('annotations', () => {
  const listed = (annotations: object) => ({
    jsonrpc: '2.0',
    id: 7,
    result: { tools: [{ name: 'send', annotations }] },
  });
  const learn = (dialect: Dialect, answer: object, target = '/mcp'): void => {
    const call = callOf(request('tools/list'), dialect, { ...post(), target });
    dialect.readJson!(answer, call, new AnswerFacts());
  };
  const repeat = (dialect: Dialect): string => callOf(toolCall('send'), dialect).repeat;

  it.each([{ readOnlyHint: true }, { idempotentHint: true }])('%j counts where it is trusted', (hints) => {
    const trusting = mcpDialect({ idempotentTools: [], trustAnnotations: true, rewriteMetadata: false });
    learn(trusting, listed(hints));
    learn(mcp, listed(hints));
    expect([repeat(trusting), repeat(mcp)]).toEqual(['safe', 'unsafe']);
  });

  it('is learnt from streams, forgotten when taken back, and known per server', () => {
    const learnt = new LearntTools();
    const dialect = mcpDialect(
      { idempotentTools: [], trustAnnotations: true, rewriteMetadata: false },
      learnt,
    );
    learn(dialect, listed({ readOnlyHint: true }), '/other/mcp');
    expect(repeat(dialect)).toBe('unsafe');
    const reader = dialect.follow!(callOf(request('tools/list'), dialect), new AnswerFacts())!;
    reader.read('message', JSON.stringify(listed({ readOnlyHint: true })));
    expect(repeat(dialect)).toBe('safe');
    learn(dialect, listed({ readOnlyHint: false }));
    expect(repeat(dialect)).toBe('unsafe');
  });

  it('outlives a reload', () => {
    const learnt = new LearntTools();
    const trust = { idempotentTools: [], trustAnnotations: true, rewriteMetadata: false };
    learn(mcpDialect(trust, learnt), listed({ readOnlyHint: true }));
    expect(repeat(mcpDialect(trust, learnt))).toBe('safe');
  });
});

describe('JSON answers', () => {
  const read = (json: unknown, call = callOf(toolCall('send'))): [string, string | undefined] => {
    const facts = new AnswerFacts();
    return [mcp.readJson!(json, call, facts).kind, facts.finishReason];
  };

  it.each([
    [{ id: 7, result: { content: [] } }, 'result'],
    [{ id: 7, result: { content: [], isError: true } }, 'tool_error'],
    [{ id: 7, error: { code: -32603, message: 'x' } }, 'error'],
    [{ id: null, error: { code: -32700, message: 'x' } }, 'error'],
    [[{ id: 7, result: {} }], 'result'],
  ])('%j is the answer (%s): a failing tool is no failing upstream', (json, finish) => {
    expect(read(json)).toEqual(['answer', finish]);
  });

  it.each([{}, [], null, { id: 8, result: {} }, { id: 7 }])('%j is not what was asked for', (json) => {
    expect(read(json)[0]).toBe('empty');
  });

  it('whatever follows a notification is enough', () => {
    const call = callOf({ jsonrpc: '2.0', method: 'notifications/initialized' });
    expect(read(null, call)[0]).toBe('answer');
  });
});

describe('streams', () => {
  const follow = (call = callOf(toolCall('send'))) => mcp.follow!(call, new AnswerFacts())!;
  const progress = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: {} });
  const answer = JSON.stringify({ jsonrpc: '2.0', id: 7, result: {} });

  it('notifications and questions of the server are content, the answer is the end', () => {
    const reader = follow();
    expect(reader.hasTerminator).toBe(true);
    const question = JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'sampling/createMessage' });
    const signals = [progress, question, answer].map((data) => reader.read('message', data));
    expect(signals).toEqual(['content', 'content', 'end']);
    expect(reader.error).toBeUndefined();
  });

  it('a batch ends with its last answer', () => {
    const reader = follow(callOf([request('ping', undefined, 1), request('ping', undefined, 'b')]));
    const ends = ['b', 1].map((id) => reader.read('', JSON.stringify({ jsonrpc: '2.0', id, result: {} })));
    expect(ends).toEqual(['content', 'end']);
  });

  it('an answer to something else is none', () => {
    expect(follow().read('', JSON.stringify({ jsonrpc: '2.0', id: '7', result: {} }))).toBe('content');
  });

  it('once an event has an id, the stream may end anywhere and nothing may be added', () => {
    const reader = follow();
    expect(reader.read('', '', 'e-1')).toBe('content');
    expect([reader.hasTerminator, reader.resumable]).toEqual([false, true]);
  });

  it('other events and empty ones say nothing, broken ones are malformed', () => {
    const reader = follow();
    expect([reader.read('ping', '{}'), reader.read('', ''), reader.read('', '{"a')]).toEqual([
      'pass',
      'pass',
      'malformed',
    ]);
  });

  it('the stream at GET is not held back and ends as it likes', () => {
    const head = { ...post('accept', 'text/event-stream'), method: 'GET' };
    const reader = follow(callOf(undefined, mcp, head));
    expect([reader.immediate, reader.hasTerminator]).toEqual([true, false]);
    expect(reader.read('', progress)).toBe('content');
  });
});

describe('what clients are told', () => {
  const local = (reason: Reason, sent: 'no' | 'maybe', call: CallFacts): LocalError => ({
    ...REASONS[reason],
    reason,
    detail: undefined,
    requestId: 'r-1',
    retryAfterMs: sent === 'no' ? 1_200.5 : undefined,
    call,
    sent,
  });
  const rendered = (...args: Parameters<typeof local>) => {
    const { status, headers, body } = mcp.renderError(local(...args));
    expect(headers).toEqual(['content-type', 'application/json']);
    return { status, json: JSON.parse(body) as unknown };
  };

  it('a tool that may have run: an error of the call, of unknown outcome', () => {
    expect(rendered('connection_reset', 'maybe', callOf(toolCall('send')))).toMatchObject({
      status: 200,
      json: {
        jsonrpc: '2.0',
        id: 7,
        error: {
          code: -32010,
          message: expect.stringContaining('The outcome of tool send is unknown') as string,
          data: {
            code: 'outcome_unknown',
            reason: 'connection_reset',
            sent: 'maybe',
            tool: 'send',
            requestId: 'r-1',
          },
        },
      },
    });
  });

  it('a call that was not sent: the HTTP error that it is, with the id', () => {
    expect(rendered('circuit_open', 'no', callOf(toolCall('send')))).toMatchObject({
      status: undefined,
      json: {
        id: 7,
        error: { code: -32011, data: { code: 'circuit_open', sent: 'no', retryAfterMs: 1_201 } },
      },
    });
  });

  it('a call that changes nothing: an HTTP error, whether it was sent or not', () => {
    const { status, json } = rendered('connection_reset', 'maybe', callOf(request('tools/list')));
    expect([status, json]).toMatchObject([undefined, { error: { data: { code: 'connection_reset' } } }]);
  });

  it('without an id: null', () => {
    expect(rendered('circuit_open', 'no', callOf(undefined)).json).toMatchObject({ id: null });
  });

  it('a batch: an error for each', () => {
    const call = callOf([toolCall('send'), request('ping', undefined, 8)]);
    const { status, json } = rendered('connection_reset', 'maybe', call);
    expect([status, json]).toMatchObject([200, [{ id: 7 }, { id: 8 }]]);
  });

  it('a stream that broke off: a message with the id; where nothing is awaited, nothing', () => {
    const text = mcp.renderStreamError!(local('response_incomplete', 'maybe', callOf(toolCall('send'))))!;
    expect(text).toMatch(/^event: message\ndata: \{.*"id":7.*\}\n\n$/);
    const listening = callOf(undefined, mcp, { ...post('accept', 'text/event-stream'), method: 'GET' });
    expect(mcp.renderStreamError!(local('response_incomplete', 'maybe', listening))).toBeUndefined();
  });
});
