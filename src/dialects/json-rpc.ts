/** JSON-RPC 2.0 as MCP and A2A carry it: a request, a notification or an answer in a body, or a batch of them. */
import type { CallFacts, LocalError, RenderedAnswer } from '../core/dialect.ts';
import { asRecord } from './json-shapes.ts';

export type RpcId = string | number;

type Json = Readonly<Record<string, unknown>>;

/** Codes of our own, from the range that is left to implementations; no SDK gives them a meaning of its own. */
export const OUTCOME_UNKNOWN = -32010;
export const NOT_ANSWERED = -32011;

/** What a body asks for. */
export interface RpcSummary {
  /** The method; `batch` for several messages in one body. */
  readonly operation: string | undefined;
  readonly tool: string | undefined;
  /** A stream of events is wanted as the answer. */
  readonly stream: boolean;
  /** Of everything that wants an answer. */
  readonly ids: readonly RpcId[];
  readonly repeat: CallFacts['repeat'];
}

/** A call whose body is read once it is here; the first who asks may be too early. */
export class RpcCall implements CallFacts {
  readonly model = undefined;
  readonly needs = [];
  readonly #json: () => unknown;
  readonly #summarise: (json: unknown) => RpcSummary;
  #summary: RpcSummary | undefined;

  /** @param summarise also called with undefined, while and where there is no body to read */
  constructor(json: () => unknown, summarise: (json: unknown) => RpcSummary) {
    this.#json = json;
    this.#summarise = summarise;
  }

  get operation(): string | undefined {
    return this.#read().operation;
  }

  get expectsAnswer(): boolean {
    return this.#read().ids.length > 0;
  }

  get tool(): string | undefined {
    return this.#read().tool;
  }

  get stream(): boolean {
    return this.#read().stream;
  }

  get id(): RpcId | undefined {
    const { ids } = this.#read();
    return ids.length === 1 ? ids[0] : undefined;
  }

  get repeat(): CallFacts['repeat'] {
    return this.#read().repeat;
  }

  get ids(): readonly RpcId[] {
    return this.#read().ids;
  }

  #read(): RpcSummary {
    if (this.#summary) return this.#summary;
    const json = this.#json();
    const summary = this.#summarise(json);
    if (json !== undefined) this.#summary = summary;
    return summary;
  }
}

export const idsOf = (call: CallFacts): readonly RpcId[] =>
  call instanceof RpcCall ? call.ids : call.id === undefined ? [] : [call.id];

export const rpcIdOf = ({ id }: Json): RpcId | undefined =>
  typeof id === 'string' || typeof id === 'number' ? id : undefined;

/** The messages of a body; undefined where it holds anything else. */
export function messagesIn(json: unknown): readonly Json[] | undefined {
  const all = (Array.isArray(json) ? json : [json]).map(asRecord);
  return all.length > 0 && all.every((one) => one !== undefined) ? all : undefined;
}

export const methodOf = ({ method }: Json): string | undefined =>
  typeof method === 'string' ? method : undefined;

/** A result or an error, and no request. */
export const isAnswer = (message: Json): boolean =>
  methodOf(message) === undefined && ('result' in message || 'error' in message);

/** Sums up a body whose single messages `read` understands. A batch is as safe as its least safe part. */
export function summariseRpc(
  json: unknown,
  read: (message: Json) => Pick<RpcSummary, 'operation' | 'tool' | 'stream' | 'repeat'>,
): RpcSummary | undefined {
  const messages = messagesIn(json);
  if (!messages) return undefined;
  const ids = messages
    .filter((one) => methodOf(one) !== undefined)
    .map(rpcIdOf)
    .filter((id) => id !== undefined);
  const parts = messages.map(read);
  const [only] = parts;
  if (only && !Array.isArray(json)) return { ...only, ids };
  const safe = parts.every(({ repeat }) => repeat === 'safe');
  const stream = parts.some((one) => one.stream);
  return { operation: 'batch', tool: undefined, stream, ids, repeat: safe ? 'safe' : 'unsafe' };
}

/** Something may have been done, and nobody can say whether. */
export const isOutcomeUnknown = ({ sent, call }: LocalError): boolean =>
  sent === 'maybe' && idsOf(call).length > 0 && (call.tool !== undefined || call.repeat === 'unsafe');

/** What a client is told of a call that has no answer. */
export function rpcError(error: LocalError, id: RpcId | null): Json {
  const { reason, sent, requestId, call, retryAfterMs } = error;
  const unknown = isOutcomeUnknown(error);
  const data = {
    code: unknown ? 'outcome_unknown' : reason,
    reason,
    sent,
    ...(call.tool !== undefined && { tool: call.tool }),
    requestId,
    ...(retryAfterMs !== undefined && { retryAfterMs: Math.ceil(retryAfterMs) }),
  };
  const code = unknown ? OUTCOME_UNKNOWN : NOT_ANSWERED;
  return { jsonrpc: '2.0', id, error: { code, message: messageOf(error, unknown), data } };
}

function messageOf({ title, detail, call }: LocalError, unknown: boolean): string {
  const why = detail ? `${title} ${detail}` : title;
  if (!unknown) return why;
  const what = call.tool === undefined ? (call.operation ?? 'the call') : `tool ${call.tool}`;
  return `The outcome of ${what} is unknown: it was sent, and it may have been carried out. ${why}`;
}

/**
 * What was refused, or never reached anybody, is an HTTP error. What was sent and may have been carried out is told as
 * the call's own error instead: that is what SDKs hand to their callers with its code and data.
 */
export function renderRpcError(error: LocalError): RenderedAnswer {
  const ids = idsOf(error.call);
  const errors = (ids.length === 0 ? [null] : ids).map((id) => rpcError(error, id));
  const body = JSON.stringify(errors.length === 1 ? errors[0] : errors);
  const headers = ['content-type', 'application/json'];
  return isOutcomeUnknown(error) ? { status: 200, headers, body } : { headers, body };
}

/** One event for everything that still wants its answer; undefined when nothing does. */
export function renderRpcStreamError(error: LocalError): string | undefined {
  const ids = idsOf(error.call);
  if (ids.length === 0) return undefined;
  return ids.map((id) => `event: message\ndata: ${JSON.stringify(rpcError(error, id))}\n\n`).join('');
}
