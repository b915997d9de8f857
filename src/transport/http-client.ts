/**
 * A client for what is not the agents' traffic: health checks, discovery, registries, webhooks. Its connections are its
 * own, so that neither a full pool looks like an ill endpoint nor a watch takes a call's connection. It follows no
 * redirect and repeats nothing: whoever calls knows what a second try means.
 */
import { isIP } from 'node:net';
import { Agent, buildConnector, request } from 'undici';
import type { Dispatcher } from 'undici';
import type { Clock, TimerHandle } from '../core/clock.ts';
import { certificatesOf } from './endpoint-transport.ts';
import type { TlsOptions } from './endpoint-transport.ts';
import { detailOf } from './network-error.ts';

export interface HttpCall {
  /** Default: GET. */
  readonly method?: string;
  /** `http:` or `https:`. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** For SNI, and the one that the certificate must have; the client's `tls.serverName` stands above it. Default: the URL's host. */
  readonly serverName?: string | undefined;
  readonly body?: string;
  /** Milliseconds to the end of the body; of a stream, to its head. */
  readonly timeoutMs: number;
  /** Breaks it off. */
  readonly signal?: AbortSignal;
  /** Largest body to accept, in bytes. Default 1 MiB. Streams have no such bound. */
  readonly maxBytes?: number;
}

interface HttpHead {
  readonly status: number;
  /** Names in lower case; several fields of one name are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface HttpAnswer extends HttpHead {
  readonly body: Buffer;
  text(): string;
  /** @throws HttpClientError where it is no JSON */
  json(): unknown;
}

export interface HttpStream extends HttpHead {
  /** Ends with the body. @throws HttpClientError where it breaks */
  readonly chunks: AsyncIterable<Buffer>;
  /** Ends the stream and its connection; whoever is reading sees an end. */
  close(): void;
}

/** There is no whole answer. The message is fit for a log line: what was asked and why there is none, without a query. */
export class HttpClientError extends Error {
  override readonly name = 'HttpClientError';
}

export interface HttpClientDeps {
  readonly clock: Clock;
  readonly tls?: TlsOptions;
  /** How long an idle connection is kept, in milliseconds. Default 4 000. */
  readonly keepAliveMs?: number;
}

/** An option that undici takes and its types do not have: what a connection is made for, instead of the Host field. */
type RequestOptions = NonNullable<Parameters<typeof request<null>>[1]> & { readonly servername: string };

const DEFAULT_KEEP_ALIVE_MS = 4_000;
const DEFAULT_MAX_BYTES = 2 ** 20;
/** A backstop for connections that nobody waits for any more: calls have timeouts of their own. */
const CONNECT_TIMEOUT_MS = 30_000;

export class HttpClient {
  readonly #clock: Clock;
  readonly #agent: Agent;

  constructor({ clock, tls = {}, keepAliveMs = DEFAULT_KEEP_ALIVE_MS }: HttpClientDeps) {
    this.#clock = clock;
    this.#agent = new Agent({
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      allowH2: false,
      connect: connectorFor(tls),
    });
  }

  /** @throws HttpClientError where there is no whole answer in time; an answer of any status is one */
  async call(call: HttpCall): Promise<HttpAnswer> {
    const running = new Running(call, this.#clock);
    try {
      const response = await running.begin(this.#agent);
      const body = await collect(response.body, call.maxBytes ?? DEFAULT_MAX_BYTES);
      return answerOf(call, headOf(response), body);
    } catch (error) {
      throw running.failed(error as Error);
    } finally {
      running.end();
    }
  }

  /** @throws HttpClientError where there is no head in time */
  async stream(call: HttpCall): Promise<HttpStream> {
    const running = new Running(call, this.#clock);
    try {
      const response = await running.begin(this.#agent);
      running.untimed();
      return {
        ...headOf(response),
        chunks: running.reading(response.body),
        close: () => running.close(response.body),
      };
    } catch (error) {
      running.end();
      throw running.failed(error as Error);
    }
  }

  /** Breaks off what is under way, and closes the connections. */
  dispose(): void {
    void this.#agent.destroy(new Error('it is not needed any more'));
  }
}

/** Names the server as told, as every call tells: never by the Host field, which may say something else. */
function connectorFor(tls: TlsOptions): buildConnector.connector {
  const connect = buildConnector({ ...certificatesOf(tls), timeout: CONNECT_TIMEOUT_MS });
  return (options, callback) => {
    const name = tls.serverName ?? options.servername ?? options.hostname;
    // An address is not allowed in SNI (RFC 6066 §3); for the empty string undici sends none.
    const servername = isIP(name.replace(/^\[|\]$/g, '')) === 0 ? name : '';
    connect({ ...options, servername }, callback);
  };
}

/** One call: its timeout, whoever may break it off, and what becomes of that. */
class Running {
  readonly #call: HttpCall;
  readonly #clock: Clock;
  readonly #abort = new AbortController();
  readonly #timer: TimerHandle;
  #closed = false;

  constructor(call: HttpCall, clock: Clock) {
    this.#call = call;
    this.#clock = clock;
    this.#timer = clock.setBackgroundTimer(call.timeoutMs, () =>
      this.#abort.abort(new Error(`no answer within ${call.timeoutMs} ms`)),
    );
    if (call.signal?.aborted) this.#onSignal();
    else call.signal?.addEventListener('abort', this.#onSignal);
  }

  begin(dispatcher: Dispatcher): Promise<Dispatcher.ResponseData> {
    const { method = 'GET', url, headers, body, serverName } = this.#call;
    const options: RequestOptions = {
      dispatcher,
      servername: serverName ?? new URL(url).hostname,
      method: method,
      signal: this.#abort.signal,
      ...(headers && { headers }),
      ...(body !== undefined && { body }),
    };
    return request(url, options);
  }

  untimed(): void {
    this.#clock.clearTimer(this.#timer);
  }

  end(): void {
    this.untimed();
    this.#call.signal?.removeEventListener('abort', this.#onSignal);
  }

  async *reading(body: Dispatcher.ResponseData['body']): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of body) yield chunk as Buffer;
    } catch (error) {
      if (!this.#closed) throw this.failed(error as Error);
    } finally {
      this.end();
    }
  }

  close(body: Dispatcher.ResponseData['body']): void {
    this.#closed = true;
    this.end();
    // Nobody may be reading: without a listener the error would be the process's.
    body.on('error', () => undefined);
    body.destroy();
  }

  failed(error: Error): HttpClientError {
    if (error instanceof HttpClientError) return error;
    const { method = 'GET', url } = this.#call;
    const why = this.#abort.signal.aborted ? (this.#abort.signal.reason as Error).message : detailOf(error);
    return new HttpClientError(`${method} ${withoutQuery(url)}: ${why}`, { cause: error });
  }

  readonly #onSignal = (): void => this.#abort.abort(new Error('broken off'));
}

function headOf({ statusCode, headers }: Dispatcher.ResponseData): HttpHead {
  const joined = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(', ') : (value ?? ''),
  ]);
  return { status: statusCode, headers: Object.fromEntries(joined) as Record<string, string> };
}

function answerOf(call: HttpCall, head: HttpHead, body: Buffer): HttpAnswer {
  const text = (): string => body.toString('utf8');
  const json = (): unknown => {
    try {
      return JSON.parse(text());
    } catch {
      const { method = 'GET', url } = call;
      throw new HttpClientError(`${method} ${withoutQuery(url)}: expected JSON, got ${excerptOf(text())}`);
    }
  };
  return { ...head, body, text, json };
}

async function collect(body: Dispatcher.ResponseData['body'], maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`the answer has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** What stands in a query may be a secret. */
function withoutQuery(url: string): string {
  if (!URL.canParse(url)) return 'an address that is none';
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

const EXCERPT = 60;

const excerptOf = (text: string): string =>
  text === '' ? 'nothing' : JSON.stringify(text.length > EXCERPT ? `${text.slice(0, EXCERPT)}…` : text);
