/** One key in etcd or Consul: read at once, or followed. */
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import { ConsulClient } from '../discovery/consul-client.ts';
import { ConsulFollower } from '../discovery/consul-follower.ts';
import { EtcdClient } from '../discovery/etcd-client.ts';
import { EtcdFollower } from '../discovery/etcd-follower.ts';
import { HttpClient } from '../transport/http-client.ts';
import type { KeyAddress } from './key-address.ts';
import type { KeySettings } from './key-settings.ts';

/** What stands there; undefined: there is no such key. */
export type KeyText = string | undefined;

export interface KeyListener {
  readonly onText: (text: KeyText) => void;
  readonly onFailed: (message: string) => void;
}

export interface KeyDeps {
  readonly clock: Clock;
  readonly random: Random;
}

export interface KeySource {
  /** @throws Error with a message for people; where it has a `status`, the server answered */
  read(): Promise<KeyText>;
  /** From now on, until `dispose`. */
  follow(listener: KeyListener): void;
  /** Idempotent. */
  dispose(): void;
}

/** How long Consul may hold a question. A connection that died silently is noticed after it. */
const CONSUL_WAIT_MS = 30_000;

export function keySource(address: KeyAddress, settings: KeySettings, deps: KeyDeps): KeySource {
  const http = new HttpClient({ clock: deps.clock, tls: settings.tls });
  return address.kind === 'etcd'
    ? new EtcdKey(address, settings, deps, http)
    : new ConsulKey(address, settings, deps, http);
}

class EtcdKey implements KeySource {
  readonly #key: string;
  readonly #deps: KeyDeps;
  readonly #http: HttpClient;
  readonly #client: EtcdClient;
  #follower: EtcdFollower | undefined;

  constructor(address: KeyAddress, { user, password }: KeySettings, deps: KeyDeps, http: HttpClient) {
    this.#key = address.key;
    this.#deps = deps;
    this.#http = http;
    this.#client = new EtcdClient({ endpoints: address.servers, user, password }, http);
  }

  async read(): Promise<KeyText> {
    const { entries } = await this.#client.range({ key: this.#key, prefix: false });
    return entries[0]?.value;
  }

  follow({ onText, onFailed }: KeyListener): void {
    const onEntries = (entries: ReadonlyMap<string, string>): void => onText(entries.get(this.#key));
    const keys = { key: this.#key, prefix: false };
    this.#follower = new EtcdFollower(this.#client, keys, { ...this.#deps, onEntries, onFailed });
    this.#follower.start();
  }

  dispose(): void {
    this.#follower?.dispose();
    this.#http.dispose();
  }
}

class ConsulKey implements KeySource {
  readonly #path: string;
  readonly #params: KeyAddress['params'];
  readonly #deps: KeyDeps;
  readonly #http: HttpClient;
  readonly #client: ConsulClient;
  #follower: ConsulFollower | undefined;

  constructor(address: KeyAddress, { token }: KeySettings, deps: KeyDeps, http: HttpClient) {
    this.#path = `/v1/kv/${address.key.split('/').map(encodeURIComponent).join('/')}`;
    this.#params = address.params;
    this.#deps = deps;
    this.#http = http;
    this.#client = new ConsulClient({ url: address.servers[0] ?? '', token }, http);
  }

  async read(): Promise<KeyText> {
    const { body } = await this.#client.query(this.#path, this.#params, { index: 0, waitMs: 0 });
    return textIn(body);
  }

  follow({ onText, onFailed }: KeyListener): void {
    const onAnswer = (body: unknown): void => onText(textIn(body));
    const question = { path: this.#path, params: this.#params, waitMs: CONSUL_WAIT_MS };
    this.#follower = new ConsulFollower(this.#client, question, { ...this.#deps, onAnswer, onFailed });
    this.#follower.start();
  }

  dispose(): void {
    this.#follower?.dispose();
    this.#http.dispose();
  }
}

/** `[{ Value: base64 }]`; an empty value is `null`. */
function textIn(body: unknown): KeyText {
  const [first] = Array.isArray(body) ? (body as unknown[]) : [];
  if (typeof first !== 'object' || first === null || !('Value' in first)) return undefined;
  return typeof first.Value === 'string' ? Buffer.from(first.Value, 'base64').toString('utf8') : '';
}
