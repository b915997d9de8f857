/**
 * A stand-in for Consul that follows its documented HTTP API where the sidecar uses it: health of services and keys with
 * blocking queries, indexes, ACL tokens. Real sockets; what it answers is set by the test.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Conditions } from './conditions.ts';

/** One entry of `/v1/health/service/:name`, as far as somebody wants to say. */
export interface ConsulEntry {
  readonly id: string;
  readonly address?: string;
  readonly nodeAddress?: string;
  readonly port: number;
  readonly status?: 'passing' | 'warning' | 'critical';
  readonly maintenance?: 'node' | 'service';
  readonly tags?: readonly string[];
  readonly meta?: Readonly<Record<string, string>>;
  readonly nodeMeta?: Readonly<Record<string, string>>;
  readonly weights?: { readonly Passing: number; readonly Warning: number };
}

export interface ConsulRequest {
  readonly path: string;
  readonly params: URLSearchParams;
  readonly token: string | undefined;
}

export class ConsulApi {
  /** Every question, in order. */
  readonly requests: ConsulRequest[] = [];
  /** Demanded of every request, where set. */
  token: string | undefined;
  /** Answers everything with this status until it is undefined again. */
  broken: number | undefined;
  /** The header `X-Consul-Index` is left out. */
  withoutIndex = false;
  readonly #services = new Map<string, readonly ConsulEntry[]>();
  readonly #keys = new Map<string, { value: string; modified: number }>();
  readonly #changes = new Conditions();
  readonly #asked = new Conditions();
  readonly #server: Server;
  /** Like Raft's: one for everything, which is what Consul falls back on for what is not there. */
  #index = 10;
  #resets = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => void this.#answer(request, response));
  }

  static async start(port = 0): Promise<ConsulApi> {
    const server = createServer();
    const api = new ConsulApi(server);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return api;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What stands under a name from now on. */
  setService(name: string, entries: readonly ConsulEntry[]): void {
    this.#services.set(name, entries);
    this.#bump();
  }

  setKey(key: string, value: string | undefined): void {
    this.#bump();
    if (value === undefined) this.#keys.delete(key);
    else this.#keys.set(key, { value, modified: this.#index });
  }

  /** As after a restored snapshot: the same content, or another, with an index that is lower. */
  resetIndex(): void {
    this.#index = 3;
    this.#resets++;
    this.#changes.changed();
  }

  /** Waits until something was asked that fulfils a condition. */
  asked(wanted: (request: ConsulRequest) => boolean, from = 0): Promise<ConsulRequest> {
    return this.#asked.until(
      () => this.requests.slice(from).find(wanted),
      () => `a request of Consul, of ${this.requests.length} so far`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #bump(): void {
    this.#index++;
    this.#changes.changed();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path, searchParams: params } = new URL(request.url ?? '/', 'http://consul');
    const token = request.headers['x-consul-token'];
    this.requests.push({ path, params, token: typeof token === 'string' ? token : undefined });
    this.#asked.changed();
    if (this.broken !== undefined) return end(response, this.broken, 'rpc error: No cluster leader');
    if (this.token !== undefined && token !== this.token)
      return end(response, 403, 'Permission denied: token lacks permission "service:read"');
    await this.#block(params, response);
    if (this.broken !== undefined) return end(response, this.broken, 'rpc error: No cluster leader');
    this.#tell(path, params, response);
  }

  /** Holds a blocking query until there is something newer than its index, or its time is up. */
  async #block(params: URLSearchParams, response: ServerResponse): Promise<void> {
    const asked = Number(params.get('index') ?? 0);
    if (asked < 1) return;
    const resets = this.#resets;
    const gone = new Promise<void>((resolve) => response.once('close', resolve));
    const newer = this.#changes
      .untilTrue(
        () => this.#index > asked || this.#resets > resets || this.broken !== undefined,
        () => 'a change',
        { timeoutMs: durationOf(params.get('wait') ?? '300s') },
      )
      .catch(() => undefined);
    await Promise.race([newer, gone]);
  }

  #tell(path: string, params: URLSearchParams, response: ServerResponse): void {
    const index = this.withoutIndex ? {} : { 'x-consul-index': String(this.#index) };
    const headers = { ...index, 'x-consul-knownleader': 'true', 'x-consul-lastcontact': '0' };
    const [, service] = /^\/v1\/health\/service\/(.+)$/.exec(path) ?? [];
    if (service !== undefined) {
      const all = this.#services.get(decodeURIComponent(service)) ?? [];
      return end(response, 200, JSON.stringify(all.filter(meant(params)).map(entryOf)), headers);
    }
    const [, key = ''] = /^\/v1\/kv\/(.+)$/.exec(path) ?? [];
    const found = this.#keys.get(decodeURIComponent(key));
    if (!found) return end(response, 404, '', headers);
    const Value = Buffer.from(found.value).toString('base64');
    end(response, 200, JSON.stringify([{ Key: key, Value, Flags: 0, ModifyIndex: found.modified }]), headers);
  }
}

function end(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
}

/** Go's spelling, as far as it is used here. */
function durationOf(text: string): number {
  const [, number, unit] = /^([\d.]+)(ms|s|m)$/.exec(text) ?? [];
  return Number(number) * ({ ms: 1, s: 1_000, m: 60_000 }[unit ?? ''] ?? Number.NaN);
}

const meant =
  (params: URLSearchParams) =>
  ({ tags = [], status = 'passing', maintenance }: ConsulEntry): boolean =>
    params.getAll('tag').every((tag) => tags.includes(tag)) &&
    (!params.has('passing') || (status === 'passing' && maintenance === undefined));

function entryOf(entry: ConsulEntry): object {
  const { id, status = 'passing', maintenance, weights = { Passing: 1, Warning: 1 } } = entry;
  const maintained = {
    node: [{ CheckID: '_node_maintenance', Status: 'critical', ServiceID: '' }],
    service: [{ CheckID: `_service_maintenance:${id}`, Status: 'critical', ServiceID: id }],
  };
  return {
    Node: { Node: `node-${id}`, Address: entry.nodeAddress ?? '127.0.0.1', Meta: entry.nodeMeta ?? null },
    Service: {
      ID: id,
      Tags: entry.tags ?? null,
      Address: entry.address ?? '',
      Port: entry.port,
      Meta: entry.meta ?? null,
      Weights: weights,
    },
    Checks: [
      { CheckID: 'serfHealth', Status: 'passing', ServiceID: '' },
      { CheckID: `service:${id}`, Status: status, ServiceID: id },
      ...(maintenance ? maintained[maintenance] : []),
    ],
  };
}
