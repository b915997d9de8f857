/**
 * Agent2Agent, 1.0 and 0.3, over JSON-RPC and over HTTP+JSON. What an agent says of a task is data, also that it failed;
 * a message may make an agent act each time that it comes.
 */
import { Buffer } from 'node:buffer';
import { jsonOf } from '../algorithms/utf8-text.ts';
import { textAt } from '../algorithms/json-pointer.ts';
import type {
  AnswerFacts,
  CallFacts,
  Continuation,
  Dialect,
  ErrorRule,
  JsonReading,
  LocalError,
  RenderedAnswer,
  StreamReader,
  StreamSignal,
} from '../core/dialect.ts';
import { withoutHeaders } from '../core/header-list.ts';
import type { RequestHead } from '../core/request.ts';
import { rewriteCard } from './a2a-card.ts';
import { isRpc, readA2aCall } from './a2a-calls.ts';
import type { A2aOptions } from './a2a-options.ts';
import { generic } from './generic.ts';
import { judgeBy } from './judge.ts';
import { asRecord, bodyStatus } from './json-shapes.ts';
import { isAnswer, messagesIn, renderRpcError, renderRpcStreamError, rpcIdOf } from './json-rpc.ts';

type Json = Readonly<Record<string, unknown>>;

/** Errors of HTTP+JSON are google.rpc.Status; inside a stream they have no status of HTTP to go by. */
const errors: readonly ErrorRule[] = [
  { body: { '/error/status': '^RESOURCE_EXHAUSTED$' }, as: 'throttled' },
  { body: { '/error/status': '^(UNAUTHENTICATED|PERMISSION_DENIED)$' }, as: 'auth' },
  {
    body: {
      '/error/status': '^(INVALID_ARGUMENT|FAILED_PRECONDITION|NOT_FOUND|ALREADY_EXISTS|UNIMPLEMENTED)$',
    },
    as: 'permanent',
  },
];

export function a2aDialect(options: A2aOptions = { idempotentMessages: false, rewriteCard: false }): Dialect {
  return {
    name: 'a2a',
    errors,
    classify: judgeBy({ errors, statusOf: bodyStatus }),
    isStream: (head) => generic.isStream(head),
    renderError: (error) => (isRpc(error.call) ? renderRpcError(error) : renderStatus(error)),
    renderStreamError: (error) =>
      isRpc(error.call) ? renderRpcStreamError(error) : `event: error\ndata: ${renderStatus(error).body}\n\n`,
    readCall: (request, json) => readA2aCall(request, json, options.idempotentMessages),
    readJson,
    follow: (call, facts) => new A2aReader(call, facts),
    resumes: ({ method }) => method === 'POST' || method === 'GET',
    ...(options.rewriteCard && { rewrite: rewriteCard }),
  };
}

export const a2a: Dialect = a2aDialect();

// --- answers

/** Of both generations: `TASK_STATE_COMPLETED` and `completed`. */
const stateOf = (status: unknown): string | undefined =>
  textAt(status, '/state')
    ?.replace(/^TASK_STATE_/, '')
    .toLowerCase()
    .replaceAll('_', '-');

const ENDED: ReadonlySet<string> = new Set(['completed', 'failed', 'canceled', 'rejected']);
/** The agent waits for the client: a stream may end here, and need not. */
const INTERRUPTED: ReadonlySet<string> = new Set(['input-required', 'auth-required']);

/** A task, a message, or an update of a task: what both answers and events consist of. */
interface Part {
  /** Task that it is about. */
  readonly taskId: string | undefined;
  /** It says of itself what it is, as in 0.3. */
  readonly hasKind: boolean;
  readonly isMessage: boolean;
  readonly state: string | undefined;
  readonly isFinal: boolean;
}

/** In 1.0 a member names what it is, in 0.3 `kind` does. */
function partOf(json: unknown): Part | undefined {
  const body = asRecord(json);
  if (!body) return undefined;
  const { kind } = body;
  const inner = asRecord(body['task'] ?? body['statusUpdate']) ?? (kind === undefined ? undefined : body);
  const isMessage = kind === 'message' || asRecord(body['message'] ?? body['msg']) !== undefined;
  const isSomething = isMessage || inner !== undefined || asRecord(body['artifactUpdate']) !== undefined;
  if (!isSomething) return undefined;
  const taskId = taskIdIn(body['artifactUpdate']) ?? taskIdIn(inner);
  const hasKind = kind !== undefined;
  return {
    taskId,
    hasKind,
    isMessage,
    state: stateOf(inner?.['status']),
    isFinal: inner?.['final'] === true,
  };
}

/** A task has an `id`; an update names the task that it is about. */
const taskIdIn = (json: unknown): string | undefined =>
  textAt(json, '/taskId') ?? (asRecord(json)?.['status'] === undefined ? undefined : textAt(json, '/id'));

function readJson(json: unknown, call: CallFacts, facts: AnswerFacts): JsonReading {
  const result = isRpc(call) ? rpcResult(json, call, facts) : { value: json };
  if (!result) return { kind: 'empty' };
  if (!('value' in result)) return { kind: 'answer' };
  const part = partOf(result.value);
  const state = part?.state ?? stateOf(asRecord(result.value)?.['status']);
  facts.finishReason = state ?? (part?.isMessage ? 'message' : undefined);
  const wanted = call.operation === 'SendMessage' || call.operation === 'SendStreamingMessage';
  return { kind: wanted && !part ? 'empty' : 'answer' };
}

/** @returns nothing to look into for an error, which is an answer as well; undefined for what answers nothing */
function rpcResult(json: unknown, call: CallFacts, facts: AnswerFacts): { value?: unknown } | undefined {
  if (call.id === undefined) return {};
  const answer = (messagesIn(json) ?? []).find((one) => isAnswer(one) && isFor(one, call));
  if (!answer) return undefined;
  if (!('error' in answer)) return { value: answer['result'] };
  facts.finishReason = 'error';
  return {};
}

/** An error without an id is all that an agent can say of a request that it could not read. */
function isFor(answer: Json, { id }: CallFacts): boolean {
  const its = rpcIdOf(answer);
  return its === undefined ? 'error' in answer : its === id;
}

class A2aReader implements StreamReader {
  readonly #call: CallFacts;
  readonly #facts: AnswerFacts;
  readonly #expectsEnd: boolean;
  #interrupted = false;
  #task: Pick<Part, 'taskId' | 'hasKind'> | undefined;
  error: unknown;

  constructor(call: CallFacts, facts: AnswerFacts) {
    this.#call = call;
    this.#facts = facts;
    this.#expectsEnd = call.stream;
  }

  get hasTerminator(): boolean {
    return this.#expectsEnd && !this.#interrupted;
  }

  read(event: string, data: string): StreamSignal {
    const json = jsonOf(data);
    const body = asRecord(json);
    if (!body) return 'malformed';
    if (isRpc(this.#call)) return this.#answer(body);
    if (event === 'error' || asRecord(body['error'])) {
      this.error = json;
      return 'error';
    }
    return this.#part(body);
  }

  /** A task goes on whether or not anybody listens: whoever lost its stream subscribes to it anew. */
  continuation(request: RequestHead): Continuation | undefined {
    const { taskId, hasKind } = this.#task ?? {};
    if (taskId === undefined) return undefined;
    if (!isRpc(this.#call)) return subscription(request, taskId);
    const method = hasKind ? 'tasks/resubscribe' : 'SubscribeToTask';
    const message = { jsonrpc: '2.0', id: this.#call.id, method, params: { id: taskId } };
    return { request, body: Buffer.from(JSON.stringify(message), 'utf8'), repeats: SNAPSHOT };
  }

  #answer(body: Json): StreamSignal {
    if (!isAnswer(body)) return 'pass';
    if (!('error' in body)) return this.#part(body['result']);
    this.#facts.finishReason = 'error';
    return 'end';
  }

  #part(json: unknown): StreamSignal {
    const part = partOf(json);
    if (!part) return 'pass';
    const { state, isMessage, isFinal } = part;
    if (part.taskId !== undefined) this.#task = part;
    if (state !== undefined) this.#facts.finishReason = state;
    this.#interrupted = state === undefined ? this.#interrupted : INTERRUPTED.has(state);
    if (isMessage) this.#facts.finishReason = 'message';
    const ended = isMessage || isFinal || ENDED.has(state ?? '');
    return ended ? 'end' : 'content';
  }
}

/** What stands behind the binding's base path; the rest of the target stays. */
const OF_A_TASK = /\/(?:message:stream|tasks\/[^/:?]+:subscribe)(?=\?|$)/;
/** Who subscribes is told first how the task stands. */
const SNAPSHOT = 1;
const OF_A_BODY: ReadonlySet<string> = new Set(['content-type', 'content-encoding']);

function subscription(request: RequestHead, taskId: string): Continuation | undefined {
  if (!OF_A_TASK.test(request.target)) return undefined;
  const target = request.target.replace(OF_A_TASK, `/tasks/${encodeURIComponent(taskId)}:subscribe`);
  const headers = withoutHeaders(request.headers, OF_A_BODY);
  return { request: { ...request, method: 'GET', target, headers }, repeats: SNAPSHOT };
}

// --- what we say

const STATUS_NAMES: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  404: 'NOT_FOUND',
  408: 'DEADLINE_EXCEEDED',
  413: 'INVALID_ARGUMENT',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  504: 'DEADLINE_EXCEEDED',
};

/** google.rpc.Status, as the HTTP+JSON binding has it. */
function renderStatus({ status, reason, title, detail, sent, requestId, call }: LocalError): RenderedAnswer {
  const unknown = sent === 'maybe' && call.operation !== undefined && call.repeat === 'unsafe';
  const why = detail ? `${title} ${detail}` : title;
  const info = {
    '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
    reason: (unknown ? 'outcome_unknown' : reason).toUpperCase(),
    domain: 'outrigger',
    metadata: { reason, sent, requestId },
  };
  const message = unknown
    ? `The outcome of ${call.operation} is unknown: it was sent, and it may have been carried out. ${why}`
    : why;
  const error = { code: status, status: STATUS_NAMES[status] ?? 'UNAVAILABLE', message, details: [info] };
  return { headers: ['content-type', 'application/json'], body: JSON.stringify({ error }) };
}
