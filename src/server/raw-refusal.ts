/** Answers to what never became a request: the parser gave up on it, or it is not for us. Written straight to the socket. */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Emit } from '../core/events.ts';
import type { Reason } from '../core/reasons.ts';
import { generic } from '../dialects/generic.ts';
import { newRequestId } from './identity.ts';
import { localAnswer } from './local-answer.ts';

/** What Node says of a bad request; the codes of its parser begin with HPE_. */
const REASON_OF_CODE: Readonly<Record<string, Reason>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'request_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  CONNECT: 'method_not_supported',
};

/** A client that does not close after its refusal, or does not read it, has this long. */
const LAST_BYTES_MS = 5_000;

export interface RefusalContext {
  readonly pseudonym: string;
  /** An exchange is under way on this connection; it ends with it. */
  readonly inExchange: boolean;
  readonly emit: Emit;
}

export function refuseOnSocket(
  socket: Socket,
  error: { readonly code?: string | undefined },
  { pseudonym, inExchange, emit }: RefusalContext,
): void {
  const code = error.code ?? '';
  if (code === 'ECONNRESET' || code === 'EPIPE' || !socket.writable) {
    socket.destroy();
    return;
  }
  const reason = REASON_OF_CODE[code] ?? 'bad_request';
  const requestId = newRequestId();
  const detail =
    code === 'CONNECT' ? 'CONNECT is not supported' : `the request could not be read (${code || 'unknown'})`;
  emit('request-refused', { reason, detail, method: code === 'CONNECT' ? code : '', requestId });
  const { head, body } = localAnswer({ reason, dialect: generic, pseudonym, requestId, detail });
  const { status } = head;
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nconnection: close\r\n`;
  for (let i = 0; i < head.headers.length; i += 2) text += `${head.headers[i]}: ${head.headers[i + 1]}\r\n`;
  socket.end(`${text}\r\n${body.toString('utf8')}`);
  if (inExchange) socket.destroySoon();
  else socket.setTimeout(LAST_BYTES_MS, () => socket.destroy());
}
