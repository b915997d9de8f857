/** Names what the HTTP client and the operating system report: error codes are theirs, reasons are ours. */
import type { Reason } from '../core/reasons.ts';

const REASON_OF_CODE: Readonly<Record<string, Reason>> = {
  ECONNREFUSED: 'connection_refused',
  ENOENT: 'connection_refused',
  EHOSTUNREACH: 'host_unreachable',
  ENETUNREACH: 'host_unreachable',
  EADDRNOTAVAIL: 'connection_limit',
  EMFILE: 'connection_limit',
  ENFILE: 'connection_limit',
  ENOTFOUND: 'dns_error',
  EAI_AGAIN: 'dns_timeout',
  EAI_FAIL: 'dns_error',
  ETIMEDOUT: 'connection_timeout',
  UND_ERR_CONNECT_TIMEOUT: 'connection_timeout',
  UND_ERR_HEADERS_TIMEOUT: 'first_byte_timeout',
  UND_ERR_BODY_TIMEOUT: 'idle_timeout',
  UND_ERR_HEADERS_OVERFLOW: 'response_head_too_large',
  UND_ERR_INVALID_ARG: 'bad_request',
  UND_ERR_NOT_SUPPORTED: 'bad_request',
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: 'client_aborted',
  ERR_TLS_CERT_ALTNAME_INVALID: 'tls_certificate_error',
};

/** OpenSSL's verdicts on certificates (X509_V_ERR_…), as Node names them. */
const CERTIFICATE_ERRORS: ReadonlySet<string> = new Set([
  'CERT_CHAIN_TOO_LONG',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'CRL_HAS_EXPIRED',
  'CRL_NOT_YET_VALID',
  'CRL_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CRL_LAST_UPDATE_FIELD',
  'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Codes that mean: the other side closed the connection. */
const CLOSED: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'UND_ERR_SOCKET',
  'ECONNABORTED',
  'ERR_HTTP2_STREAM_ERROR',
]);

/** How far an exchange with the upstream had come when it failed. */
export interface Progress {
  /** The request was being written. */
  readonly started: boolean;
  /** A byte of the response had come. */
  readonly answering: boolean;
  /** The final response head had come. */
  readonly head: boolean;
}

const codeOf = (error: Error): string => {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : '';
};

/** The socket closed on us: true for FIN and RST alike, false for malformed answers that the client reports the same way. */
export const isClosedByPeer = (error: Error): boolean =>
  CLOSED.has(codeOf(error)) && !/^bad (response|upgrade)/.test(error.message);

/**
 * The parser found that the message does not fit its own framing. In the head that is a contradiction; after it, the
 * end that came before its time, which is told so only where the connection was to be closed anyway.
 */
function isMisframed(error: Error): boolean {
  const code = codeOf(error);
  return code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' || /invalid eof/i.test(error.message);
}

export function reasonOf(error: Error, progress: Progress): Reason {
  const code = codeOf(error);
  const known = REASON_OF_CODE[code];
  if (known) return known;
  if (CERTIFICATE_ERRORS.has(code)) return 'tls_certificate_error';
  if (isMisframed(error)) return progress.head ? 'response_incomplete' : 'protocol_error';
  if (error.name === 'HTTPParserError') return 'protocol_error';
  if (isClosedByPeer(error)) return closedAt(progress);
  if (CLOSED.has(code)) return 'protocol_error';
  if (/TLS|SSL/.test(code)) return 'tls_protocol_error';
  return progress.started ? closedAt(progress) : 'connection_reset';
}

function closedAt(progress: Progress): Reason {
  // Without a whole response head there was no answer; after it, there was a part of one.
  return progress.head || progress.answering ? 'response_incomplete' : 'connection_reset';
}

/** One line for people. An AggregateError (several addresses tried) has its text inside. */
export function detailOf(error: Error): string {
  const inner = error instanceof AggregateError ? (error.errors[0] as Error | undefined) : undefined;
  const text = inner?.message || error.message || error.name;
  const code = codeOf(error);
  return code && !text.includes(code) ? `${code}: ${text}` : text;
}
