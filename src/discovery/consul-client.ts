/**
 * What the sidecar says to Consul: blocking queries, and what its agent's own API takes of registrations.
 * @see https://developer.hashicorp.com/consul/api-docs/features/blocking
 */
import type { HttpAnswer, HttpClient } from '../transport/http-client.ts';
import { SourceError } from './source-error.ts';

export interface ConsulOptions {
  /** `http://host:8500` or `https://…`, without a path. */
  readonly url: string;
  /** ACL token. */
  readonly token?: string | undefined;
  /** Longest wait for an answer, beyond what a blocking query may take, in milliseconds. Default 5 000. */
  readonly timeoutMs?: number | undefined;
}

/** Parameters of a question. Undefined: not sent; `true`: sent without a value; a list: sent several times. */
export type ConsulParams = Readonly<Record<string, string | true | readonly string[] | undefined>>;

export interface ConsulAnswer {
  /** 200, or 404: there is nothing of the name. */
  readonly status: 200 | 404;
  /** For the next question; 0 where the next must not block. */
  readonly index: number;
  readonly body: unknown;
}

/** A service as `PUT /v1/agent/service/register` takes it. */
export interface ConsulService {
  readonly ID: string;
  readonly Name: string;
  readonly Address?: string;
  readonly Port: number;
  readonly Tags?: readonly string[];
  readonly Meta?: Readonly<Record<string, string>>;
  readonly Weights?: { readonly Passing: number; readonly Warning: number };
  readonly Check?: {
    readonly CheckID?: string;
    /** Such as `10s`: how long the check stands without a word. */
    readonly TTL: string;
    readonly Status?: 'passing' | 'warning' | 'critical';
    /** Such as `1m`; Consul takes no less than a minute. */
    readonly DeregisterCriticalServiceAfter?: string;
  };
}

export interface ConsulReport {
  readonly status: 'passing' | 'warning' | 'critical';
  /** Shown beside the state; a sentence. */
  readonly output: string;
}

const DEFAULT_TIMEOUT_MS = 5_000;
/** Longer answers fail. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** Consul spreads the ends of blocking queries over a sixteenth of their time. */
const SPREAD = 1 / 16;

export class ConsulClient {
  readonly #options: ConsulOptions;
  readonly #http: HttpClient;
  readonly #timeoutMs: number;

  constructor(options: ConsulOptions, http: HttpClient) {
    this.#options = options;
    this.#http = http;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /**
   * Asks; where `index` is above 0, Consul answers when there is something newer, at the latest after `waitMs`.
   * @param index that of the answer before; 0 asks for what stands now
   * @throws SourceError for no answer, and every one but 200 and 404
   */
  async query(
    path: string,
    params: ConsulParams,
    { index, waitMs }: { readonly index: number; readonly waitMs: number },
    signal?: AbortSignal,
  ): Promise<ConsulAnswer> {
    const blocking = index > 0 ? { index: String(index), wait: `${waitMs}ms` } : {};
    const longestMs = index > 0 ? waitMs * (1 + SPREAD) : 0;
    const answer = await this.#ask(
      { path, params: { ...params, ...blocking } },
      longestMs + this.#timeoutMs,
      signal,
    );
    const { status } = answer;
    if (status !== 200 && status !== 404) throw this.#refused(path, answer);
    if (answer.headers['x-consul-knownleader'] === 'false')
      throw new SourceError(`consul: ${this.#options.url}${path}: there is no leader, the answer may be old`);
    return { status, index: nextIndex(index, answer.headers['x-consul-index']), body: bodyOf(answer) };
  }

  /** Registers with the agent, or changes what is registered under the id. @throws SourceError */
  register(service: ConsulService, params: ConsulParams = {}, signal?: AbortSignal): Promise<void> {
    return this.#put({ path: '/v1/agent/service/register', params, body: service }, signal);
  }

  /** @throws SourceError with status 404 where the agent does not know the id (older ones say 500) */
  deregister(id: string, params: ConsulParams = {}, signal?: AbortSignal): Promise<void> {
    return this.#put({ path: `/v1/agent/service/deregister/${encodeURIComponent(id)}`, params }, signal);
  }

  /**
   * A sign of life of a check with a TTL; the check of a service is called `service:<id>` unless it was named.
   * @throws SourceError with status 404 where the agent has forgotten the check (older ones say 500): register anew
   */
  report(
    check: string,
    { status, output }: ConsulReport,
    params: ConsulParams = {},
    signal?: AbortSignal,
  ): Promise<void> {
    const path = `/v1/agent/check/update/${encodeURIComponent(check)}`;
    return this.#put({ path, params, body: { Status: status, Output: output } }, signal);
  }

  async #put(question: Question, signal?: AbortSignal): Promise<void> {
    const answer = await this.#ask({ ...question, method: 'PUT' }, this.#timeoutMs, signal);
    if (answer.status !== 200) throw this.#refused(question.path, answer);
  }

  async #ask(
    { method = 'GET', path, params, body }: Question,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<HttpAnswer> {
    const { token, url } = this.#options;
    try {
      return await this.#http.call({
        method,
        url: `${url}${path}${queryOf(params)}`,
        headers: {
          ...(token !== undefined && { 'x-consul-token': token }),
          ...(body && { 'content-type': 'application/json' }),
        },
        ...(body && { body: JSON.stringify(body) }),
        timeoutMs,
        maxBytes: MAX_ANSWER_BYTES,
        ...(signal && { signal }),
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new SourceError(`consul: ${why}`, undefined, error);
    }
  }

  #refused(path: string, answer: HttpAnswer): SourceError {
    // Consul's own words, one line of them: whoever answers there need not be Consul.
    const [line = ''] = answer.text().trim().slice(0, 200).split('\n');
    const reason = line === '' || line.startsWith('<') ? '' : ` (${line})`;
    return new SourceError(
      `consul: ${this.#options.url}${path}: answered ${answer.status}${reason}`,
      answer.status,
    );
  }
}

interface Question {
  readonly method?: string;
  readonly path: string;
  readonly params: ConsulParams;
  readonly body?: object | undefined;
}

/**
 * The index to ask with next. One that went backwards means that Consul's state was restored: everything is asked for anew.
 * One that is missing or below 1 would make the next question return at once, again and again.
 */
export function nextIndex(previous: number, header: string | undefined): number {
  const index = Number(header ?? 0);
  if (!Number.isSafeInteger(index) || index < 1) return 0;
  return index < previous ? 0 : index;
}

/** Nothing is to be read of a 404. */
function bodyOf(answer: HttpAnswer): unknown {
  if (answer.status === 404) return undefined;
  try {
    return answer.json();
  } catch (error) {
    throw new SourceError(`consul: ${(error as Error).message}`, answer.status, error);
  }
}

function queryOf(params: ConsulParams): string {
  const pairs = Object.entries(params).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (value === true) return [encodeURIComponent(name)];
    return [value].flat().map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one)}`);
  });
  return pairs.length > 0 ? `?${pairs.join('&')}` : '';
}
