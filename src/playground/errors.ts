/** Refusals and injected errors, in the shape in which OpenAI's API reports them. */
import { FAULT_HEADER, FAULT_KINDS } from './faults.ts';

export interface ApiError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: { readonly error: ErrorBody };
}

interface ErrorBody {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

const apiError = (status: number, error: ErrorBody, headers: Record<string, string> = {}): ApiError => ({
  status,
  headers,
  body: { error },
});

const invalid = (status: number, message: string, code: string | null = null, param: string | null = null) =>
  apiError(status, { message, type: 'invalid_request_error', param, code });

export function unknownPath(method: string, path: string): ApiError {
  return invalid(404, `The playground has no ${method} ${path}.`, 'unknown_url');
}

export function methodNotAllowed(method: string, path: string, allowed: string): ApiError {
  const { status, body } = invalid(
    405,
    `${path} does not take ${method}, only ${allowed}.`,
    'method_not_allowed',
  );
  return { status, body, headers: { allow: allowed } };
}

export function invalidJson(): ApiError {
  return invalid(400, 'The body of the request is not valid JSON.', 'invalid_json');
}

/** @param param path of the offending field, such as `messages.0.role`; empty for the body as a whole */
export function invalidField(param: string, problem: string): ApiError {
  return invalid(400, param === '' ? problem : `${param}: ${problem}`, null, param === '' ? null : param);
}

export function bodyTooLarge(limitBytes: number): ApiError {
  return invalid(413, `The body of the request exceeds ${limitBytes} bytes.`, 'request_too_large');
}

export function unknownFault(name: string): ApiError {
  const known = [...FAULT_KINDS, 'none'].join(', ');
  return invalid(
    400,
    `There is no fault ${JSON.stringify(name)}; known are ${known}.`,
    'unknown_fault',
    FAULT_HEADER,
  );
}

/** A made-up failure. Its type follows its status as it does at the provider. */
export function injectedError(status: number): ApiError {
  const message = `The playground made this ${status} up.`;
  if (status === 429) return apiError(status, { message, type: 'rate_limit_error', param: null, code: null });
  if (status < 500) return invalid(status, message);
  const code = status === 503 ? 'server_is_overloaded' : null;
  return apiError(status, { message, type: 'server_error', param: null, code });
}

/** A made-up 429 that asks for `retryAfterMs` milliseconds, in the exact and in the coarse header. */
export function throttled(retryAfterMs: number): ApiError {
  const ms = Math.ceil(retryAfterMs);
  const message = `The playground made this 429 up. Try again in ${ms}ms.`;
  return apiError(
    429,
    { message, type: 'rate_limit_error', param: null, code: 'rate_limit_exceeded' },
    { 'retry-after-ms': String(ms), 'retry-after': String(Math.ceil(ms / 1000)) },
  );
}
