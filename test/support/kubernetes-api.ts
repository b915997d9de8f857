/**
 * The part of the Kubernetes API that discovery uses, as its documentation describes it: lists in pages and watches of the
 * EndpointSlices of one namespace, with bookmarks, expiry (410), timeouts and bearer tokens. Over real sockets.
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { Conditions } from './conditions.ts';
import { serverTlsOptions } from './tls/identities.ts';
import type { UpstreamTls } from './tls/identities.ts';

export interface StubEndpoint {
  readonly address: string;
  readonly ready?: boolean | null;
  readonly serving?: boolean | null;
  readonly terminating?: boolean | null;
  readonly zone?: string;
  readonly node?: string;
  readonly pod?: string;
  readonly uid?: string;
}

export interface StubSlice {
  readonly name: string;
  readonly service?: string;
  readonly addressType?: 'IPv4' | 'IPv6' | 'FQDN';
  readonly ports?:
    readonly { readonly name?: string; readonly port?: number; readonly protocol?: string }[] | null;
  readonly endpoints: readonly StubEndpoint[];
}

export interface ApiRequest {
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
}

interface Change {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly slice: StubSlice;
}

interface Watch {
  readonly service: string;
  readonly response: ServerResponse;
}

export interface ApiStubOptions {
  readonly tls?: UpstreamTls;
  /** Requests must bear it. Default: none. */
  readonly token?: string;
  readonly namespace?: string;
}

export async function startKubernetesApi(options: ApiStubOptions = {}): Promise<KubernetesApiStub> {
  const stub = new KubernetesApiStub(options);
  await stub.start();
  return stub;
}

export class KubernetesApiStub implements AsyncDisposable {
  readonly #options: ApiStubOptions;
  readonly #slices = new Map<string, { readonly slice: StubSlice; readonly version: number }>();
  readonly #watches = new Set<Watch>();
  readonly #sockets = new Set<Socket>();
  readonly #conditions = new Conditions();
  #history: Change[] = [];
  #version = 100;
  /** Changes up to here are forgotten: watches from before get 410. */
  #forgotten = 0;
  #server: Server | undefined;
  port = 0;
  token: string | undefined;
  readonly lists: ApiRequest[] = [];
  readonly watches: ApiRequest[] = [];
  /** Slices on one page at most, whatever is asked for. */
  pageSize = Number.POSITIVE_INFINITY;
  /** Answers everything with this status, or nothing at all. */
  refuseWith:
    { readonly status: number; readonly headers?: Readonly<Record<string, string>> } | 'silence' | undefined;

  constructor(options: ApiStubOptions) {
    this.#options = options;
    this.token = options.token;
  }

  get origin(): string {
    return `${this.#options.tls ? 'https' : 'http'}://127.0.0.1:${this.port}`;
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  put(slice: StubSlice): void {
    const type = this.#slices.has(slice.name) ? 'MODIFIED' : 'ADDED';
    this.#slices.set(slice.name, { slice, version: ++this.#version });
    this.#changed({ version: this.#version, type, slice });
  }

  delete(name: string): void {
    const known = this.#slices.get(name);
    if (!known) throw new Error(`there is no slice ${name}`);
    this.#slices.delete(name);
    this.#changed({ version: ++this.#version, type: 'DELETED', slice: known.slice });
  }

  bookmark(): void {
    for (const { response } of this.#watches)
      writeEvent(response, 'BOOKMARK', { metadata: { resourceVersion: String(++this.#version) } });
  }

  /** Forgets all changes so far, as etcd does when it is compacted; open watches are told so where `tell` says it. */
  compact({ tell }: { readonly tell: boolean }): void {
    this.#history = [];
    this.#forgotten = ++this.#version;
    if (!tell) return;
    for (const { response } of this.#watches)
      response.end(`${JSON.stringify({ type: 'ERROR', object: EXPIRED })}\n`);
  }

  /** Changes something that nobody is told of, as if the watch had lost it. */
  putSilently(slice: StubSlice): void {
    this.#slices.set(slice.name, { slice, version: ++this.#version });
  }

  /** Ends all watches as a server does whose time is up, or cuts their connections. */
  endWatches(how: 'cleanly' | 'abruptly'): void {
    for (const { response } of this.#watches) {
      if (how === 'cleanly') response.end();
      else response.socket?.resetAndDestroy();
    }
  }

  /** Writes bytes to all watches. */
  writeRaw(text: string): void {
    for (const { response } of this.#watches) response.write(text);
  }

  waitForLists(count: number): Promise<void> {
    return this.#conditions.untilTrue(
      () => this.lists.length >= count,
      () => `${count} lists, of which there are ${this.lists.length}`,
    );
  }

  waitForWatches(count: number): Promise<void> {
    return this.#conditions.untilTrue(
      () => this.watches.length >= count,
      () => `${count} watches, of which there are ${this.watches.length}`,
    );
  }

  async start(): Promise<void> {
    const { tls } = this.#options;
    const listener = (request: IncomingMessage, response: ServerResponse): void =>
      this.#serve(request, response);
    const server = tls ? createTlsServer(serverTlsOptions(tls), listener) : createServer(listener);
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.port, '127.0.0.1', resolve);
    });
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams: query } = new URL(request.url ?? '/', 'http://stub');
    const { authorization } = request.headers;
    const isWatch = query.get('watch') === '1';
    (isWatch ? this.watches : this.lists).push({ query, authorization });
    queueMicrotask(() => this.#conditions.changed());
    if (this.refuseWith === 'silence') return;
    const expected = `/apis/discovery.k8s.io/v1/namespaces/${this.#options.namespace ?? 'default'}/endpointslices`;
    if (this.refuseWith) return refuse(response, this.refuseWith.status, this.refuseWith.headers);
    if (pathname !== expected) return refuse(response, 404);
    if (this.token !== undefined && authorization !== `Bearer ${this.token}`) return refuse(response, 401);
    const [label, service = ''] = (query.get('labelSelector') ?? '').split('=');
    if (label !== 'kubernetes.io/service-name') return refuse(response, 400);
    if (isWatch) this.#watch(service, query, response);
    else this.#list(service, query, response);
  }

  #list(service: string, query: URLSearchParams, response: ServerResponse): void {
    const all = [...this.#slices.values()].filter(({ slice }) => (slice.service ?? 'agents') === service);
    const from = Number(query.get('continue') ?? 0);
    const to = from + Math.min(this.pageSize, Number(query.get('limit') ?? all.length));
    const body = {
      kind: 'EndpointSliceList',
      apiVersion: 'discovery.k8s.io/v1',
      metadata: {
        resourceVersion: String(this.#version),
        ...(to < all.length && { continue: String(to), remainingItemCount: all.length - to }),
      },
      items: all.slice(from, to).map(({ slice, version }) => sliceObject(slice, version)),
    };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  #watch(service: string, query: URLSearchParams, response: ServerResponse): void {
    const from = Number(query.get('resourceVersion'));
    if (from < this.#forgotten) return void response.writeHead(410).end(JSON.stringify(EXPIRED));
    response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
    response.flushHeaders();
    const watch: Watch = { service, response };
    this.#watches.add(watch);
    const timer = setTimeout(() => response.end(), Number(query.get('timeoutSeconds')) * 1_000);
    response.on('close', () => {
      clearTimeout(timer);
      this.#watches.delete(watch);
    });
    for (const change of this.#history) if (change.version > from) tell(watch, change);
  }

  #changed(change: Change): void {
    this.#history.push(change);
    for (const watch of this.#watches) tell(watch, change);
  }
}

function tell({ service, response }: Watch, { type, slice, version }: Change): void {
  if ((slice.service ?? 'agents') === service) writeEvent(response, type, sliceObject(slice, version));
}

function writeEvent(response: ServerResponse, type: string, object: unknown): void {
  const line = `${JSON.stringify({ type, object })}\n`;
  // In two pieces: the end of a chunk is not the end of an event.
  response.write(line.slice(0, line.length / 2));
  response.write(line.slice(line.length / 2));
}

const EXPIRED = {
  ...{ kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'Expired', code: 410 },
  message: 'The resourceVersion for the provided watch is too old.',
};

function refuse(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = { kind: 'Status', status: 'Failure', message: `refused with ${status}`, code: status };
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

export function sliceObject(slice: StubSlice, version: number): object {
  const {
    name,
    service = 'agents',
    addressType = 'IPv4',
    ports = [{ name: 'http', port: 8080 }],
    endpoints,
  } = slice;
  return {
    kind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    metadata: {
      name,
      resourceVersion: String(version),
      labels: { 'kubernetes.io/service-name': service },
      ownerReferences: [{ kind: 'Service', name: service }],
    },
    addressType,
    ports: ports?.map((one) => ({ protocol: 'TCP', ...one })) ?? null,
    endpoints: endpoints.map(
      ({ address, ready = true, serving, terminating, zone, node, pod, uid = pod }) => ({
        addresses: [address],
        conditions: { ready, serving, terminating },
        ...(zone !== undefined && { zone }),
        ...(node !== undefined && { nodeName: node }),
        ...(uid !== undefined && { targetRef: { kind: 'Pod', name: pod, uid } }),
      }),
    ),
  };
}
