/** Keeps an instance registered in a registry elsewhere. It repeats nothing: whoever calls knows when to try again. */
import type { InstanceRegistrar, InstanceReport, InstanceStatus, Lease } from '../core/registry.ts';
import type { HttpAnswer, HttpClient } from '../transport/http-client.ts';

export interface RegistryClientOptions {
  /** Of the registry, such as `http://127.0.0.1:9091`. */
  readonly url: string;
  readonly token?: string | undefined;
  /** For each call. Default: 2 000. */
  readonly timeoutMs?: number;
}

/** The registry said no, or what is none of its answers. */
export class RegistryClientError extends Error {
  override readonly name = 'RegistryClientError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const TIMEOUT_MS = 2_000;
const MAX_ANSWER_BYTES = 64 * 1024;

export class RegistryClient implements InstanceRegistrar {
  readonly #options: RegistryClientOptions;
  readonly #http: HttpClient;

  /** @param http whoever made it disposes of it */
  constructor(options: RegistryClientOptions, http: HttpClient) {
    this.#options = options;
    this.#http = http;
  }

  /** @throws HttpClientError without an answer, RegistryClientError where the registry does not take it */
  async register({ service, id, ...report }: InstanceReport, signal?: AbortSignal): Promise<Lease> {
    const answer = await this.#call({ method: 'PUT', path: pathOf(service, id), body: report, signal });
    if (answer.status === 200 || answer.status === 201) return leaseIn(answer);
    throw refused(answer);
  }

  /** @throws as `register` */
  async heartbeat(
    service: string,
    id: string,
    body?: { readonly status?: InstanceStatus; readonly weight?: number },
    signal?: AbortSignal,
  ): Promise<Lease | 'unknown'> {
    const path = `${pathOf(service, id)}/heartbeat`;
    const answer = await this.#call({ method: 'POST', path, body, signal });
    if (answer.status === 200) return leaseIn(answer);
    if (answer.status === 404 && codeIn(answer) === 'no_such_instance') return 'unknown';
    throw refused(answer);
  }

  /** @throws as `register` */
  async deregister(service: string, id: string, signal?: AbortSignal): Promise<boolean> {
    const answer = await this.#call({ method: 'DELETE', path: pathOf(service, id), signal });
    if (answer.status === 204) return true;
    if (answer.status === 404 && codeIn(answer) === 'no_such_instance') return false;
    throw refused(answer);
  }

  #call({ method, path, body, signal }: Question): Promise<HttpAnswer> {
    const { url, token, timeoutMs = TIMEOUT_MS } = this.#options;
    return this.#http.call({
      method,
      url: url.replace(/\/+$/, '') + path,
      timeoutMs,
      maxBytes: MAX_ANSWER_BYTES,
      headers: {
        accept: 'application/json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
  }
}

interface Question {
  readonly method: string;
  readonly path: string;
  readonly body?: object | undefined;
  readonly signal?: AbortSignal | undefined;
}

const pathOf = (service: string, id: string): string =>
  `/v1/services/${encodeURIComponent(service)}/instances/${encodeURIComponent(id)}`;

function leaseIn(answer: HttpAnswer): Lease {
  const { ttlMs, heartbeatMs } = answer.json() as Partial<Record<keyof Lease, unknown>>;
  if (typeof ttlMs === 'number' && typeof heartbeatMs === 'number' && ttlMs > 0 && heartbeatMs > 0)
    return { ttlMs, heartbeatMs };
  throw new RegistryClientError(answer.status, 'expected ttlMs and heartbeatMs in the registry’s answer');
}

const codeIn = (answer: HttpAnswer): unknown => problemIn(answer)['code'];

function refused(answer: HttpAnswer): RegistryClientError {
  const { detail } = problemIn(answer);
  const why = typeof detail === 'string' ? `: ${detail}` : '';
  return new RegistryClientError(answer.status, `the registry answered ${answer.status}${why}`);
}

/** Whatever answered may not be a registry. */
function problemIn(answer: HttpAnswer): Readonly<Record<string, unknown>> {
  try {
    const value = answer.json();
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
