/** Makes an exchange of a request that passed the checks. */
import { STATUS_CODES } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { Exchange } from '../core/exchange.ts';
import type { ClientAddress } from '../core/exchange.ts';
import { NO_BODY } from '../core/request-bodies.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { RequestBody } from '../core/request.ts';
import type { RouteMatch } from '../runtime/runtime.ts';
import { takePin } from './endpoint-header.ts';
import { forwardHeaders } from './forward-headers.ts';
import { newRequestId, traceOf } from './identity.ts';
import { ClientBody } from './request-body.ts';
import type { ReplayMemory } from './request-body.ts';
import type { UploadWatch } from './upload-watch.ts';
import type { RequestFacts } from './request-facts.ts';

export interface AdmitSettings {
  /** Name of this process in Via and Proxy-Status. */
  readonly pseudonym: string;
  /** Lower-case name of the field that names the agent. */
  readonly agentHeader: string;
  readonly maxBodyBytes: number;
  readonly bodyIdleMs: number;
}

export interface AdmitDeps {
  readonly clock: Clock;
  readonly settings: () => AdmitSettings;
  readonly memory: ReplayMemory;
  readonly uploads: UploadWatch;
  /** The sidecar is about to stop: no connection may outlive its answer. */
  readonly draining: () => boolean;
}

export interface Admission {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly facts: RequestFacts;
  readonly match: RouteMatch;
  readonly upgrade: string | undefined;
}

export function bodyOf({ req, res, facts, match, upgrade }: Admission, deps: AdmitDeps): RequestBody {
  if (!facts.hasBody || upgrade !== undefined) return NO_BODY;
  const { maxBodyBytes, bodyIdleMs } = deps.settings();
  const { replayLimitBytes, bufferFirstBytes } = match.upstream.settings;
  return new ClientBody(req, facts.contentLength, {
    limits: { replayBytes: replayLimitBytes, bufferFirstBytes, maxBytes: maxBodyBytes, idleMs: bodyIdleMs },
    memory: deps.memory,
    watch: deps.uploads,
    clock: deps.clock,
    ...(facts.expectsContinue && { sendContinue: continuation(res, deps.draining) }),
  });
}

/**
 * A client that was not told to go on may or may not send its body after our answer: unless it was, nobody can know
 * where its next request begins, and the connection must end (RFC 9110 §10.1.1).
 */
function continuation(res: ServerResponse, draining: () => boolean): () => void {
  const keepAlive = res.shouldKeepAlive;
  res.shouldKeepAlive = false;
  return () => {
    res.shouldKeepAlive = keepAlive && !draining();
    res.writeContinue();
  };
}

export function exchangeOf(
  admission: Admission,
  body: RequestBody,
  cancellation: Cancellation,
  deps: AdmitDeps,
): Exchange {
  const { req, res, facts, match, upgrade } = admission;
  const trace = traceOf(facts.traceparent);
  const { pseudonym } = deps.settings();
  const sent = forwardHeaders(req, facts, { pseudonym, traceparent: trace.started });
  const { headers, pinnedTo } = takePin(sent, match.upstream.settings.endpointHeader);
  return new Exchange({
    id: facts.requestId ?? newRequestId(),
    traceId: trace.traceId,
    agentId: facts.agentId,
    route: match.route,
    upstream: match.upstream.identity,
    request: {
      method: req.method ?? 'GET',
      target: match.target,
      headers,
      host: facts.host,
      ...(upgrade !== undefined && { upgrade }),
    },
    body,
    pinnedTo,
    startedAt: deps.clock.now(),
    cancellation,
    callerTimeoutMs: facts.callerTimeoutMs,
    clientRetries: facts.clientRetries,
    client: () => addressOf(req),
    onInformational: (status, headers) => writeInformational(res, status, headers),
  });
}

const addressOf = ({ socket }: IncomingMessage): ClientAddress => ({
  address: socket.remoteAddress ?? 'unknown',
  secure: 'encrypted' in socket,
});

/**
 * Interim answers go on as they come; they commit us to nothing (RFC 9110 §15.2). Written past the response object,
 * which knows two of them and insists on a syntax for their fields. HTTP/1.0 has none.
 */
function writeInformational(res: ServerResponse, status: number, headers: HeaderList): void {
  const { socket } = res;
  if (res.headersSent || !socket?.writable || res.req.httpVersionMinor === 0) return;
  // They may be dropped, and must not pile up before a client that does not read.
  if (socket.writableNeedDrain) return;
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  socket.write(`${text}\r\n`, 'latin1');
}
