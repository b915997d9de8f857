import type { CancelReason } from './cancellation.ts';

/**
 * Why an exchange did not get its upstream's answer: the machine-readable codes that agents branch on, each with the
 * status we answer and the RFC 9209 error type we report in Proxy-Status.
 */
export interface ReasonInfo {
  /** Status of a local answer for this reason, unless a policy says otherwise. */
  readonly status: number;
  /** RFC 9209 §2.3 proxy error type. */
  readonly proxyError: string;
  /** One sentence for people. */
  readonly title: string;
}

const reason = (status: number, proxyError: string, title: string): ReasonInfo => ({
  status,
  proxyError,
  title,
});

export const REASONS = {
  // The upstream could not be reached: nothing was sent.
  connection_refused: reason(502, 'connection_refused', 'The upstream refused the connection.'),
  connection_timeout: reason(504, 'connection_timeout', 'The upstream did not accept a connection in time.'),
  dns_error: reason(502, 'dns_error', "The upstream's name could not be resolved."),
  dns_timeout: reason(504, 'dns_timeout', "The upstream's name could not be resolved in time."),
  host_unreachable: reason(502, 'destination_ip_unroutable', 'There is no route to the upstream.'),
  tls_certificate_error: reason(
    502,
    'tls_certificate_error',
    "The upstream's certificate is not acceptable.",
  ),
  tls_protocol_error: reason(502, 'tls_protocol_error', 'The TLS handshake with the upstream failed.'),
  connection_limit: reason(503, 'connection_limit_reached', 'No more connections can be opened now.'),
  // The upstream was reached and did not answer properly.
  connection_reset: reason(
    502,
    'connection_terminated',
    'The upstream closed the connection before it answered.',
  ),
  first_byte_timeout: reason(504, 'http_response_timeout', 'The upstream did not begin its answer in time.'),
  write_timeout: reason(504, 'connection_write_timeout', 'The upstream stopped reading the request.'),
  idle_timeout: reason(
    504,
    'connection_read_timeout',
    'The upstream stopped sending in the middle of its answer.',
  ),
  response_incomplete: reason(
    502,
    'http_response_incomplete',
    "The upstream's answer ended before it was complete.",
  ),
  response_head_too_large: reason(
    502,
    'http_response_header_section_size',
    "The upstream's response headers are too large.",
  ),
  protocol_error: reason(502, 'http_protocol_error', "The upstream's answer is not valid HTTP."),
  first_token_timeout: reason(
    504,
    'http_response_timeout',
    'The upstream began its answer but did not come to its first word in time.',
  ),
  too_slow: reason(504, 'connection_read_timeout', 'The answer came too slowly.'),
  // The upstream answered, but not with an answer.
  upstream_error: reason(502, 'http_protocol_error', 'The upstream sent an error inside its answer.'),
  empty_answer: reason(502, 'http_protocol_error', 'The upstream sent an answer with nothing in it.'),
  malformed_answer: reason(502, 'http_protocol_error', "The upstream's answer cannot be read."),
  // Bounds and refusals of ours.
  deadline_exceeded: reason(504, 'http_response_timeout', 'The total time for this request is used up.'),
  circuit_open: reason(503, 'destination_unavailable', 'The circuit breaker of this upstream is open.'),
  no_endpoint: reason(503, 'destination_unavailable', 'The upstream has no endpoint to send this to.'),
  credentials_cooling: reason(
    429,
    'destination_unavailable',
    'The upstream has throttled every credential for now.',
  ),
  no_credential: reason(
    503,
    'destination_unavailable',
    'No credential for the upstream is accepted at present.',
  ),
  paced: reason(429, 'http_request_error', "The provider's rate limit leaves no room for this call now."),
  concurrency_limit: reason(
    503,
    'connection_limit_reached',
    'The upstream has as many calls at a time as it may have.',
  ),
  load_shed: reason(
    503,
    'destination_unavailable',
    'The upstream turns calls away for overload; this one was not sent.',
  ),
  rate_limited: reason(
    429,
    'http_request_denied',
    'The rate limit that is set here leaves no room for this call now.',
  ),
  not_cached: reason(
    504,
    'http_request_denied',
    'Only a stored answer was asked for, and there is none that will do.',
  ),
  shutting_down: reason(503, 'destination_unavailable', 'The sidecar is stopping.'),
  internal_error: reason(500, 'proxy_internal_error', 'The sidecar failed; this is a bug in it.'),
  // The request itself.
  no_route: reason(404, 'destination_not_found', 'No upstream has a route for this path.'),
  unknown_endpoint: reason(
    404,
    'destination_not_found',
    'The upstream has no endpoint of the name that the request gives.',
  ),
  bad_request: reason(400, 'http_request_error', 'The request is malformed or ambiguous.'),
  expectation_failed: reason(417, 'http_request_denied', 'Nothing but 100-continue can be expected here.'),
  method_not_supported: reason(405, 'http_request_denied', 'This method is not supported here.'),
  request_too_large: reason(413, 'http_request_error', 'The request body is too large.'),
  request_timeout: reason(408, 'http_request_error', 'The request body did not arrive in time.'),
  headers_too_large: reason(431, 'http_request_error', 'The request headers are too large.'),
  loop_detected: reason(502, 'proxy_loop_detected', 'The request has been through this sidecar already.'),
  // Keys of requests.
  idempotency_key_missing: reason(400, 'http_request_error', 'This request needs an idempotency key.'),
  idempotency_key_invalid: reason(400, 'http_request_error', 'The idempotency key cannot be read.'),
  idempotency_key_reused: reason(
    422,
    'http_request_denied',
    'The idempotency key was used for another request.',
  ),
  idempotency_in_progress: reason(
    409,
    'http_request_denied',
    'A request with this idempotency key is under way.',
  ),
  idempotency_not_kept: reason(
    409,
    'http_request_denied',
    'The request with this idempotency key was answered, but its answer was not kept.',
  ),
  idempotency_unavailable: reason(
    503,
    'destination_unavailable',
    'Nobody can say at present whether a request with this idempotency key was made.',
  ),
  outcome_unknown: reason(
    409,
    'http_request_denied',
    'A request with this idempotency key was made, and may have taken effect or not.',
  ),
  // Nobody is there to be answered.
  client_aborted: reason(499, 'http_request_error', 'The client closed the connection.'),
  superseded: reason(499, 'http_request_error', 'Another answer was chosen.'),
} as const satisfies Record<string, ReasonInfo>;

export type Reason = keyof typeof REASONS;

export const isReason = (text: string): text is Reason => Object.hasOwn(REASONS, text);

const REASON_OF_CANCEL: Readonly<Record<CancelReason, Reason>> = {
  'client-aborted': 'client_aborted',
  deadline: 'deadline_exceeded',
  'caller-deadline': 'deadline_exceeded',
  'connect-timeout': 'connection_timeout',
  'first-byte-timeout': 'first_byte_timeout',
  'write-timeout': 'write_timeout',
  'first-token-timeout': 'first_token_timeout',
  'idle-timeout': 'idle_timeout',
  'too-slow': 'too_slow',
  superseded: 'superseded',
  shutdown: 'shutting_down',
};

export const reasonOfCancel = (cancelled: CancelReason): Reason => REASON_OF_CANCEL[cancelled];
