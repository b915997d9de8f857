/** The registry's listener: requests in, answers out. What they mean is in routes.ts and watch.ts. */
import { once } from 'node:events';
import http from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import { ListenError } from '../core/moving-listener.ts';
import type { Listening as ListeningServer } from '../core/moving-listener.ts';
import type { Random } from '../core/random.ts';
import type { RegistryOptions } from '../schema/registry.ts';
import type { ListenerTls } from '../schema/tls.ts';
import type { Catalog } from './catalog.ts';
import { readFilter } from './filter.ts';
import { refusalOf } from './guard.ts';
import type { Answer } from './problem.ts';
import { misfitProblem, problem } from './problem.ts';
import { readBody } from './read-body.ts';
import { routeOf, wrongMethod } from './routes.ts';
import { Watchers } from './watch.ts';

/** Time for a client to send a request, however slowly it drips. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Node looks for late requests only this often; its own 30 s would let slow ones live. */
const CHECK_INTERVAL_MS = 1_000;
/** Longer than most intervals between heartbeats, so that a client need not connect for each. */
const KEEP_ALIVE_MS = 75_000;
const MAX_HEAD_BYTES = 16 * 1024;
/** Of a registration, besides its metadata. */
const BODY_BYTES = 8 * 1024;
/** Clients that ask but are no instance. */
const SPARE_CONNECTIONS = 256;

export interface RegistryServerDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

export interface RegistryServer extends ListeningServer<RegistryOptions> {
  /** Clients that follow changes. */
  readonly watchers: number;
  /** Takes over all of them but `listen`, and whether there is TLS. Whoever follows with a token that counts no more is cut off. */
  adjust(options: RegistryOptions): void;
  /** Breaks off every connection. May be called again. */
  close(): Promise<void>;
}

/** @throws ListenError when the address cannot be had */
export async function startRegistryServer(
  options: RegistryOptions,
  deps: RegistryServerDeps,
): Promise<RegistryServer> {
  const server = new Listening(options, deps);
  await server.listen();
  return server;
}

class Listening implements RegistryServer {
  #options: RegistryOptions;
  readonly #deps: RegistryServerDeps;
  readonly #watchers: Watchers;
  readonly #server: Server;
  /** Node does not count those whose TLS handshake is not over. */
  readonly #sockets = new Set<Socket>();
  #bound = { host: '', port: 0 };
  #closed: Promise<void> | undefined;

  constructor(options: RegistryOptions, deps: RegistryServerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#watchers = new Watchers(deps);
    this.#server = serverWith(options.tls);
    this.#server.on('request', (request, response) => void this.#serve(request, response));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.maxConnections = mostConnections(options);
  }

  get address(): { readonly host: string; readonly port: number } {
    return this.#bound;
  }

  get watchers(): number {
    return this.#watchers.count;
  }

  adjust(options: RegistryOptions): void {
    const { token } = this.#options;
    this.#options = options;
    this.#server.maxConnections = mostConnections(options);
    if (options.tls && this.#server instanceof https.Server)
      this.#server.setSecureContext(pemOf(options.tls));
    if (options.token !== undefined && options.token !== token) this.#watchers.cutAll();
  }

  async listen(): Promise<void> {
    const at = this.#options.listen.lastIndexOf(':');
    const host = this.#options.listen.slice(0, at).replace(/^\[|\]$/g, '');
    this.#server.listen({
      port: Number(this.#options.listen.slice(at + 1)),
      host: host === '*' ? '0.0.0.0' : host,
    });
    try {
      await once(this.#server, 'listening');
    } catch (error) {
      this.#watchers.close();
      throw new ListenError(this.#options.listen, 'registry.listen', error as NodeJS.ErrnoException);
    }
    // A failed accept (no file descriptors left) is reported here; the next connection may fare better.
    this.#server.on('error', () => {});
    const { address, port } = this.#server.address() as AddressInfo;
    this.#bound = { host: address, port };
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#watchers.close();
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
    return this.#closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that went away is no trouble; without a listener it would be one.
    response.on('error', () => {});
    try {
      const answer = await this.#answer(request, response);
      if (answer) send(request, response, answer);
    } catch (error) {
      this.#deps.emit('internal-error', { where: 'registry', error: error as Error });
      if (!response.headersSent)
        send(request, response, problem({ status: 500, code: 'internal_error', detail: 'unexpected error' }));
      else response.destroy();
    }
  }

  /** @returns undefined where it is answered already, or nobody waits any more */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Answer | undefined> {
    const { method = '', url = '' } = request;
    const [path = '', search = ''] = splitAt(url, '?');
    if (path === '/health' && (method === 'GET' || method === 'HEAD'))
      return { status: 200, body: { status: 'ok' } };
    const guarded = { token: this.#options.token, bound: this.#bound.host };
    const refusal = refusalOf(request.headers, guarded);
    if (refusal) return refusal;
    const query = new URLSearchParams(search);
    if (path === '/v1/watch') return this.#watch(request, response, query);
    const route = routeOf(method, path);
    if ('refusal' in route) return route.refusal;
    const body = await readBody(request, BODY_BYTES + this.#deps.catalog.limits.maxMetadata);
    if (!body) return undefined;
    if (!body.ok) return body.refusal;
    const { sweepInterval: roomAfterMs } = this.#options;
    return route.handle({ query, body: body.value }, { ...this.#deps, roomAfterMs });
  }

  #watch(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): Answer | undefined {
    if (request.method !== 'GET') return wrongMethod(request.method ?? '', '/v1/watch', ['GET']);
    const read = readFilter(query);
    if (!read.ok) return misfitProblem(read.misfit);
    const other = [...query.keys()].find((key) => key !== 'service');
    if (other !== undefined)
      return misfitProblem({ where: `query.${other}`, expected: 'only service', got: 'it' });
    if (this.#watchers.count >= this.#options.maxWatchers)
      return problem({
        ...{ status: 503, code: 'too_many_watchers', headers: { 'retry-after': '5' } },
        detail: `registry.maxWatchers is ${this.#options.maxWatchers}, and all of them are there`,
      });
    const lastEventId = request.headers['last-event-id'];
    this.#watchers.open(response, {
      service: read.value.service,
      lastEventId: typeof lastEventId === 'string' ? lastEventId : undefined,
    });
    return undefined;
  }
}

function serverWith(tls: ListenerTls | undefined): Server {
  const options = {
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: REQUEST_TIMEOUT_MS,
    handshakeTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEAD_BYTES,
    noDelay: true,
    keepAlive: true,
  };
  return tls ? https.createServer({ ...options, ...pemOf(tls) }) : http.createServer(options);
}

const pemOf = ({ certFile, keyFile }: ListenerTls) => ({ cert: certFile.bytes, key: keyFile.bytes });

const mostConnections = ({ maxInstances, maxWatchers }: RegistryOptions): number =>
  maxInstances + maxWatchers + SPARE_CONNECTIONS;

function splitAt(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function send(request: IncomingMessage, response: ServerResponse, { status, body, headers }: Answer): void {
  const text = body === undefined ? undefined : JSON.stringify(body);
  response.writeHead(status, {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(text !== undefined && {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    }),
    // What is left of a body that nobody reads must not be taken for the next request.
    ...(!request.complete && { connection: 'close' }),
    ...headers,
  });
  response.end(text);
}
