/** Connections to one endpoint: an attempt goes in, an outcome comes out. Knows nothing of policies. */
import { isIP } from 'node:net';
import { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { Client, Pool, buildConnector } from 'undici';
import type { Dispatcher } from 'undici';
import type { Clock } from '../core/clock.ts';
import type { Endpoint } from '../core/endpoint.ts';
import type { Attempt, Exchange } from '../core/exchange.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { Outcome } from '../core/outcome.ts';
import { Call } from './call.ts';
import type { ConnectionWatch } from './connection-watch.ts';

/** TLS towards the upstream. PEM texts, not paths. */
export interface TlsOptions {
  /** Trusted roots instead of the system's. */
  readonly ca?: string;
  /** Client certificate and its key. */
  readonly cert?: string;
  readonly key?: string;
  /** Name for SNI and for checking the certificate. Default: the endpoint's host. */
  readonly serverName?: string;
}

export interface TransportOptions {
  /** Backstop for connections that nobody waits for any more; attempts have timers of their own. */
  readonly connectTimeoutMs: number;
  /** How long an idle connection is kept; upstreams' hints may shorten it. */
  readonly keepAliveMs: number;
  /** Largest response head, in bytes. */
  readonly maxResponseHeadBytes: number;
  /** Offer HTTP/2 in the TLS handshake. */
  readonly http2: boolean;
  /** Send the client's Host field instead of the endpoint's. */
  readonly preserveHost: boolean;
  readonly tls: TlsOptions;
}

export interface TransportStats {
  readonly connected: number;
  readonly free: number;
  readonly running: number;
}

/** Streams that one HTTP/2 connection carries at most; the upstream may allow fewer. */
const MAX_STREAMS = 100;

/** An option that undici takes and its types do not have: what a connection is made for, instead of the Host field. */
interface DispatchOptions extends Dispatcher.DispatchOptions {
  servername: string;
}

/** Milliseconds subtracted from an upstream's keep-alive hint, so that we close first. */
const KEEP_ALIVE_MARGIN_MS = 1_000;

export class EndpointTransport {
  readonly #endpoint: Endpoint;
  readonly #options: TransportOptions;
  readonly #clock: Clock;
  readonly #watch: ConnectionWatch;
  /** Constant, so that changing Host fields neither change SNI nor make undici close the connection. */
  readonly #serverName: string;
  readonly #pool: Pool;
  /** What the connection that was made last has agreed on. */
  #speaksHttp2 = false;

  constructor(endpoint: Endpoint, options: TransportOptions, deps: { clock: Clock; watch: ConnectionWatch }) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#clock = deps.clock;
    this.#watch = deps.watch;
    this.#serverName = options.tls.serverName ?? new URL(endpoint.origin).hostname;
    const connected = (_: unknown, targets: readonly Dispatcher[]): void => this.#onConnect(targets.at(-1));
    this.#pool = new Pool(endpoint.origin, { ...this.#clientOptions(options.http2), connections: null });
    if (options.http2) this.#pool.on('connect', connected);
  }

  /** Never throws. Settles at the response head, a failure or the attempt's cancellation, whichever is first. */
  send(attempt: Attempt): Promise<Outcome> {
    const call = new Call(attempt, this.#clock, this.#watch);
    if (attempt.cancellation.cancelled) return call.outcome;
    const fresh = this.#freshClient(attempt);
    const options = this.#dispatchOptions(attempt, fresh !== undefined);
    if (this.#options.http2 && options.body instanceof Readable) options.body = call.uploading(options.body);
    (fresh ?? this.#pool).dispatch(options, call);
    // Closing waits for the one request that is under way.
    if (fresh) void fresh.close();
    return call.outcome;
  }

  stats(): TransportStats {
    const { connected, free, running } = this.#pool.stats;
    return { connected, free, running };
  }

  /** Closes idle connections now and the others as they finish. */
  async close(): Promise<void> {
    await this.#pool.close();
  }

  async destroy(): Promise<void> {
    await this.#pool.destroy();
  }

  /** A client of one connection, where the pool's are no good; undefined where they are. */
  #freshClient({ freshConnection, exchange }: Attempt): Client | undefined {
    // Protocols are switched on HTTP/1.1 only.
    const http2 = this.#options.http2 && exchange.request.upgrade === undefined;
    // Exchanges from before a reload go on with what they began with, also after a wait.
    if (!freshConnection && !this.#pool.closed && http2 === this.#options.http2) return undefined;
    return new Client(this.#endpoint.origin, this.#clientOptions(http2));
  }

  #dispatchOptions(attempt: Attempt, closeAfter: boolean): DispatchOptions {
    const { exchange } = attempt;
    const { request } = exchange;
    const body = exchange.body.open();
    const options: DispatchOptions = {
      servername: this.#serverName,
      method: request.method,
      path: pathAt(this.#endpoint, attempt.target, exchange.upstream.dialect.wellKnown),
      headers: this.#headers(attempt, body),
      body,
      // Without a pipeline there is nothing to block; `true` would hold back other requests on HTTP/2.
      blocking: false,
    };
    if (request.upgrade) options.upgrade = request.upgrade;
    // Nobody can know what follows an answer to HEAD: a server that sends a body all the same would have it read as the
    // start of the next answer. Such connections are closed, which is what undici does by itself.
    else if (request.method !== 'HEAD') options.reset = closeAfter;
    return options;
  }

  #headers(attempt: Attempt, body: unknown): string[] {
    const { exchange } = attempt;
    const host = this.#options.preserveHost ? exchange.request.host : this.#endpoint.host;
    const own = this.#options.http2 ? forHttp2(attempt.headers) : attempt.headers;
    const headers = ['host', host, ...own];
    const length = lengthOf(exchange, body);
    if (length !== undefined) headers.push('content-length', String(length));
    return headers;
  }

  #clientOptions(http2: boolean): Client.Options {
    const { keepAliveMs, maxResponseHeadBytes } = this.#options;
    return {
      // The policies own all timers; undici's are coarse, and its 300 s defaults cut long thinking pauses.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      keepAliveTimeoutThreshold: KEEP_ALIVE_MARGIN_MS,
      maxHeaderSize: maxResponseHeadBytes,
      pipelining: 1,
      allowH2: http2,
      connect: this.#connector(http2),
    };
  }

  /**
   * To undici, `pipelining` also bounds what a client may have open when it replaces a connection that said goodbye
   * (GOAWAY). On HTTP/1.1 it would mean requests that wait behind each other.
   */
  #onConnect(client: Dispatcher | undefined): void {
    if (client instanceof Client) client.pipelining = this.#speaksHttp2 ? MAX_STREAMS : 1;
  }

  #connector(http2: boolean): buildConnector.connector {
    const { connectTimeoutMs, tls } = this.#options;
    const connect = buildConnector({
      timeout: connectTimeoutMs,
      allowH2: http2,
      ...certificatesOf(tls),
    });
    // An address is not allowed in SNI (RFC 6066 §3); for the empty string undici sends none.
    const servername = isIP(this.#serverName.replace(/^\[|\]$/g, '')) === 0 ? this.#serverName : '';
    return (options, callback) => {
      connect({ ...options, servername }, (...result) => {
        this.#speaksHttp2 = (result[1] as TLSSocket | null)?.alpnProtocol === 'h2';
        callback(...result);
      });
    };
  }
}

/** Whom to trust, and as whom to come. */
export const certificatesOf = ({ ca, cert, key }: TlsOptions): Omit<TlsOptions, 'serverName'> => ({
  ...(ca !== undefined && { ca }),
  ...(cert !== undefined && { cert }),
  ...(key !== undefined && { key }),
});

/** Content-Length to declare; undici sets its own for bodies in memory, and chunks a stream of unknown length. */
function lengthOf(exchange: Exchange, body: unknown): number | undefined {
  if (body === null || body instanceof Uint8Array) return undefined;
  return exchange.body.length;
}

/**
 * Names in lower case, as HTTP/2 has them, and without the one field that a client may send over HTTP/1.1 only: a
 * field against the rules would cost the whole connection, and with it everybody's requests.
 */
function forHttp2(headers: HeaderList): string[] {
  const allowed: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = (headers[i] as string).toLowerCase();
    if (name !== 'http2-settings') allowed.push(name, headers[i + 1] as string);
  }
  return allowed;
}

/** Documents at the root of the origin have the base path behind their name, not before it. */
function pathAt({ basePath }: Endpoint, target: string, wellKnown: readonly string[] | undefined): string {
  const document = basePath === '' ? undefined : wellKnown?.find((name) => isDocument(target, name));
  if (document === undefined) return basePath + target;
  const end = '/.well-known/'.length + document.length;
  return target.slice(0, end) + basePath + target.slice(end);
}

function isDocument(target: string, name: string): boolean {
  const document = `/.well-known/${name}`;
  return target.startsWith(document) && ['', '/', '?'].includes(target.charAt(document.length));
}
