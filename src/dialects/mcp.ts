/**
 * Model Context Protocol over Streamable HTTP: with sessions (2025-03-26 to 2025-11-25) and without (2026-07-28). An
 * error of a tool is data for the model, not a failure of the upstream; a call of a tool may do something each time.
 */
import { Buffer } from 'node:buffer';
import { namesLike } from '../algorithms/name-pattern.ts';
import { jsonOf } from '../algorithms/utf8-text.ts';
import { UNKNOWN_CALL } from '../core/dialect.ts';
import type {
  AnswerFacts,
  CallFacts,
  Continuation,
  Dialect,
  ErrorRule,
  JsonReading,
  StreamReader,
  StreamSignal,
} from '../core/dialect.ts';
import { headerValue, withHeader, withoutHeaders } from '../core/header-list.ts';
import type { RequestHead } from '../core/request.ts';
import { generic } from './generic.ts';
import { judgeBy } from './judge.ts';
import { asRecord } from './json-shapes.ts';
import {
  idsOf,
  isAnswer,
  messagesIn,
  methodOf,
  renderRpcError,
  renderRpcStreamError,
  RpcCall,
  rpcIdOf,
  summariseRpc,
} from './json-rpc.ts';
import type { RpcId, RpcSummary } from './json-rpc.ts';
import { LearntTools } from './learnt-tools.ts';
import { isResourceMetadata, RESOURCE_METADATA, rewriteMetadata, WELL_KNOWN } from './mcp-metadata.ts';
import type { McpOptions } from './mcp-options.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * Methods that change nothing at the second time. `initialize` makes a session each time; the one that nobody learns of
 * expires by itself, and without it nothing else can begin.
 */
const SAFE: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'server/discover',
  'subscriptions/listen',
  'tools/list',
  'resources/list',
  'resources/read',
  'resources/templates/list',
  'resources/subscribe',
  'resources/unsubscribe',
  'prompts/list',
  'prompts/get',
  'completion/complete',
  'logging/setLevel',
  'tasks/get',
  'tasks/list',
  'tasks/result',
  'tasks/cancel',
]);

const CALL_TOOL = 'tools/call';

/** The stream of whatever the server has to say, at GET. */
/** A stream that is asked for from a certain event on. */
interface ListeningCall extends CallFacts {
  readonly lastEventId?: string;
}

const LISTENING: ListeningCall = { ...UNKNOWN_CALL, operation: 'listen', stream: true, repeat: 'safe' };

const METADATA: CallFacts = { ...UNKNOWN_CALL, operation: RESOURCE_METADATA, repeat: 'safe' };

/** Statuses say it all: 404 is an expired session, 405 a server without a stream at GET; neither is ill. */
const errors: readonly ErrorRule[] = [];

/** A call that knows which server it is for: several can stand behind one upstream. */
class McpCall extends RpcCall {
  readonly path: string;

  constructor(path: string, json: () => unknown, summarise: (json: unknown) => RpcSummary) {
    super(json, summarise);
    this.path = path;
  }
}

const DEFAULTS: McpOptions = { idempotentTools: [], trustAnnotations: false, rewriteMetadata: false };

export function mcpDialect(options: McpOptions = DEFAULTS, learnt: LearntTools = new LearntTools()): Dialect {
  const isDeclared = namesLike(options.idempotentTools);
  const repeatOf = (path: string, method: string | undefined, tool: string | undefined): Repeat => {
    if (method?.startsWith('notifications/') || SAFE.has(method ?? '')) return 'safe';
    if (method !== CALL_TOOL || tool === undefined) return 'unsafe';
    if (isDeclared(tool)) return 'safe';
    return options.trustAnnotations && learnt.isRepeatable(path, tool) ? 'safe' : 'unsafe';
  };
  const learn = (call: CallFacts, message: Json): void => {
    if (call instanceof McpCall && call.operation === 'tools/list') learnt.note(call.path, message['result']);
  };
  return {
    name: 'mcp',
    errors,
    sessionHeader: 'mcp-session-id',
    wellKnown: WELL_KNOWN,
    classify: judgeBy({ errors }),
    isStream: (head) => generic.isStream(head),
    renderError: renderRpcError,
    renderStreamError: renderRpcStreamError,
    resumes: ({ method }) => method === 'GET' || method === 'POST',
    readCall: (request, json) => readCall(request, json, repeatOf),
    readJson: (json, call, facts) => readJson(json, { call, facts, learn }),
    follow: (call, facts) => new McpReader({ call, facts, learn }),
    ...(options.rewriteMetadata && { rewrite: rewriteMetadata }),
  };
}

export const mcp: Dialect = mcpDialect();

type Repeat = CallFacts['repeat'];
type RepeatOf = (path: string, method: string | undefined, tool: string | undefined) => Repeat;

function readCall(request: RequestHead, json: () => unknown, repeatOf: RepeatOf): CallFacts {
  if (request.method === 'GET') {
    if (isResourceMetadata(request.target)) return METADATA;
    const wanted = headerValue(request.headers, 'accept') ?? '';
    if (!/\btext\/event-stream\b/i.test(wanted)) return UNKNOWN_CALL;
    const lastEventId = headerValue(request.headers, 'last-event-id');
    const call: ListeningCall = lastEventId === undefined ? LISTENING : { ...LISTENING, lastEventId };
    return call;
  }
  if (request.method !== 'POST') return UNKNOWN_CALL;
  // With its query: that may name the server, too.
  const path = request.target;
  const read = (message: Json): ReturnType<typeof readMessage> => readMessage(message, path, repeatOf);
  // What a body says outweighs what its headers say of it; they speak where it is too large to be kept.
  return new McpCall(
    path,
    json,
    (body) => summariseRpc(body, read) ?? summaryOfHeaders(request, path, repeatOf),
  );
}

function readMessage(message: Json, path: string, repeatOf: RepeatOf): Omit<RpcSummary, 'ids'> {
  const operation = methodOf(message);
  const name = operation === CALL_TOOL ? asRecord(message['params'])?.['name'] : undefined;
  const tool = typeof name === 'string' ? name : undefined;
  const stream = operation === 'subscriptions/listen';
  // An answer to a question of the server: that it may come twice, JSON-RPC takes care of.
  const repeat = isAnswer(message) ? 'safe' : repeatOf(path, operation, tool);
  return { operation, tool, stream, repeat };
}

/** The stateless form names method and tool in its head. */
function summaryOfHeaders({ headers }: RequestHead, path: string, repeatOf: RepeatOf): RpcSummary {
  const operation = headerValue(headers, 'mcp-method');
  const name = operation === CALL_TOOL ? headerValue(headers, 'mcp-name') : undefined;
  const tool = name === undefined ? undefined : decoded(name);
  const repeat = repeatOf(path, operation, tool);
  return { operation, tool, stream: operation === 'subscriptions/listen', ids: [], repeat };
}

/** Names that are no plain ASCII travel in base64, between two marks. */
function decoded(value: string): string {
  const inside = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/.exec(value.trim())?.[1];
  return inside === undefined ? value.trim() : Buffer.from(inside, 'base64').toString('utf8');
}

// --- answers

interface Reading {
  readonly call: CallFacts;
  readonly facts: AnswerFacts;
  readonly learn: (call: CallFacts, message: Json) => void;
}

/** Describes a body that a GET does not have. */
const OF_A_POST: ReadonlySet<string> = new Set([
  'content-type',
  'content-encoding',
  'mcp-method',
  'mcp-name',
]);

/** A result and an error are both the server's answer; anything else is not what was asked for. */
function readJson(json: unknown, reading: Reading): JsonReading {
  const ids = idsOf(reading.call);
  if (ids.length === 0) return { kind: 'answer' };
  const answers = (messagesIn(json) ?? []).filter(isAnswer);
  for (const answer of answers) note(answer, reading);
  // An error without an id is all that a server can say of a request that it could not read.
  const fits = answers.some((one) => {
    const id = rpcIdOf(one);
    return id === undefined ? 'error' in one : ids.includes(id);
  });
  return { kind: fits ? 'answer' : 'empty' };
}

function note(answer: Json, { call, facts, learn }: Reading): void {
  if ('error' in answer) facts.finishReason = 'error';
  else {
    facts.finishReason = asRecord(answer['result'])?.['isError'] === true ? 'tool_error' : 'result';
    learn(call, answer);
  }
}

/**
 * Once an event had an identifier, a client asks for what comes after it by itself (`Last-Event-ID`): such a stream may
 * end at any event, and nothing may be added to one that broke off.
 */
class McpReader implements StreamReader {
  readonly #reading: Reading;
  readonly #awaited: Set<RpcId>;
  readonly error = undefined;
  readonly immediate: boolean;
  #lastId: string | undefined;
  #over = false;

  constructor(reading: Reading) {
    this.#reading = reading;
    this.#awaited = new Set(idsOf(reading.call));
    this.#lastId = (reading.call as ListeningCall).lastEventId;
    this.immediate = this.#awaited.size === 0;
  }

  get resumable(): boolean {
    return this.#lastId !== undefined;
  }

  /** What comes after the last event that had an identifier (revisions up to 2025-11-25, "Resumability and Redelivery"). */
  continuation(request: RequestHead): Continuation | undefined {
    if (this.#lastId === undefined) return undefined;
    // Without a session nobody knows whose stream it was, unless it was asked for in the same way before.
    if (request.method !== 'GET' && headerValue(request.headers, 'mcp-session-id') === undefined)
      return undefined;
    const headers = withHeader(withoutHeaders(request.headers, OF_A_POST), 'last-event-id', this.#lastId);
    const accepting = withHeader(headers, 'accept', 'text/event-stream');
    return { request: { ...request, method: 'GET', headers: accepting } };
  }

  get hasTerminator(): boolean {
    return !this.resumable && (this.#over || this.#awaited.size > 0);
  }

  read(event: string, data: string, id?: string): StreamSignal {
    // One with a NUL is none (HTML standard).
    if (id !== undefined && id !== '' && !id.includes('\0')) this.#lastId = id;
    // An event with nothing in it brings an identifier, from which a client can go on.
    if (data === '') return this.resumable ? 'content' : 'pass';
    if (event !== '' && event !== 'message') return 'pass';
    const messages = messagesIn(jsonOf(data));
    if (!messages) return 'malformed';
    for (const message of messages) if (isAnswer(message)) this.#answered(message);
    return this.#over ? 'end' : 'content';
  }

  #answered(message: Json): void {
    const id = rpcIdOf(message);
    if (id === undefined || !this.#awaited.delete(id)) return;
    note(message, this.#reading);
    this.#over = this.#awaited.size === 0;
  }
}
