/** Endpoints from keys in etcd v3: one key an instance, which the instance, or whoever speaks for it, keeps alive. */
import { z } from 'zod';
import type { EndpointDescription } from '../core/endpoint.ts';
import { positiveDuration, secret } from '../schema/scalars.ts';
import { serverUrl } from '../schema/server-url.ts';
import { tlsTowards } from '../schema/tls.ts';
import type { HttpClient } from '../transport/http-client.ts';
import { clientOf, originsOf } from './client-of.ts';
import { EtcdClient } from './etcd-client.ts';
import { EtcdFollower } from './etcd-follower.ts';
import { endpointIn } from './etcd-values.ts';
import type { DiscoveryDeps, DiscoveryKind, Discoverer } from './kind.ts';

const schema = z
  .strictObject({
    urls: z
      .array(serverUrl)
      .min(1)
      .max(20)
      .describe('Members of the cluster; asked in turn where one is away.'),
    prefix: z.string().min(1).max(1_000).describe('What the keys begin with, such as "agents/search/".'),
    user: z.string().min(1).optional().describe('User, where etcd asks for one.'),
    password: secret(z.string().min(1)).optional().describe('Password. Never printed.'),
    timeout: positiveDuration.prefault('5s').describe('Longest wait for an answer of one member.'),
    refresh: positiveDuration
      .prefault('30s')
      .describe('How often everything is read anew, so that a watch is found out that only seems to stand.'),
    tls: tlsTowards('etcd').prefault({}),
  })
  .refine(({ user, password }) => (user === undefined) === (password === undefined), {
    error: 'expected user and password together',
  })
  .refine(
    ({ urls, tls }) =>
      urls.every((url) => url.startsWith('https:')) || Object.values(tls).every((one) => one === undefined),
    { error: 'expected https URLs beside tls', path: ['urls'] },
  )
  .describe('Keys in etcd v3 with one prefix, followed by a watch. A value is a URL, or JSON.');

export const etcd: DiscoveryKind<typeof schema> = {
  key: 'etcd',
  schema,
  build: (options, deps) => new EtcdDiscovery(options, deps),
};

class EtcdDiscovery implements Discoverer {
  readonly #prefix: string;
  readonly #deps: DiscoveryDeps;
  readonly #http: HttpClient;
  readonly #follower: EtcdFollower;
  /** By key, what it said last that could be read. */
  #good: ReadonlyMap<string, EndpointDescription> = new Map();

  constructor(options: z.output<typeof schema>, deps: DiscoveryDeps) {
    const { urls, prefix, user, password, timeout, refresh, tls } = options;
    this.#prefix = prefix;
    this.#deps = deps;
    this.#http = clientOf(deps.clock, tls);
    const client = new EtcdClient(
      { endpoints: originsOf(urls), user, password, timeoutMs: timeout },
      this.#http,
    );
    const { clock, random, list } = deps;
    const onEntries = (entries: ReadonlyMap<string, string>): void => this.#take(entries);
    const onFailed = (message: string): void => list.failed(message);
    this.#follower = new EtcdFollower(
      client,
      { key: prefix, prefix: true },
      { clock, random, onEntries, onFailed },
      refresh,
    );
  }

  start(): void {
    this.#follower.start();
  }

  dispose(): void {
    this.#follower.dispose();
    this.#http.dispose();
  }

  /** A key whose value cannot be read counts with what it said before. */
  #take(entries: ReadonlyMap<string, string>): void {
    const good = new Map<string, EndpointDescription>();
    const refused = new Map<string, string>();
    for (const [key, text] of entries) {
      const read = endpointIn(text, key.slice(this.#prefix.length));
      if (!read.ok) refused.set(key, read.message);
      const endpoint = read.ok ? read.endpoint : this.#good.get(key);
      if (endpoint) good.set(key, endpoint);
    }
    this.#good = good;
    this.#deps.list.replace([...good.values()], refused);
  }
}
