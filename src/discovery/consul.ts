/** Endpoints from Consul: the instances of a service, with what Consul's checks say of them, by blocking queries. */
import { z } from 'zod';
import { duration, positiveDuration, secret } from '../schema/scalars.ts';
import { serverUrl } from '../schema/server-url.ts';
import { tlsTowards } from '../schema/tls.ts';
import type { HttpClient } from '../transport/http-client.ts';
import { clientOf } from './client-of.ts';
import { ConsulClient } from './consul-client.ts';
import type { ConsulParams } from './consul-client.ts';
import { ConsulFollower } from './consul-follower.ts';
import { endpointsOf } from './consul-services.ts';
import type { DiscoveryDeps, DiscoveryKind, Discoverer } from './kind.ts';

const name = z.string().min(1).max(200);

const MAX_WAIT_MS = 600_000;

const schema = z
  .strictObject({
    url: serverUrl.describe('The agent, or a server, such as "http://127.0.0.1:8500".'),
    service: name.describe('Name of the service.'),
    tags: z.array(name).max(20).default([]).describe('Only instances that have all of them.'),
    datacenter: name.optional().describe('Default: that of the agent.'),
    namespace: name.optional().describe('Namespace (Consul Enterprise).'),
    partition: name.optional().describe('Admin partition (Consul Enterprise).'),
    passingOnly: z
      .boolean()
      .default(false)
      .describe(
        'Leave out what does not pass its checks. By default it is known as degraded, draining or down, and stays known as such.',
      ),
    stale: z
      .boolean()
      .default(false)
      .describe('Let any server answer, not only the leader: cheaper, and a little older.'),
    scheme: z.enum(['http', 'https']).default('http').describe('How instances are spoken to.'),
    path: z
      .string()
      .regex(/^\/[^?#]*[^/?#]$/, { error: 'expected a path that begins and does not end with a slash' })
      .optional()
      .describe('Base path of the instances.'),
    zoneKey: name
      .default('zone')
      .describe('Key of the service’s metadata, or else of its node’s, that names the zone.'),
    token: secret(z.string().min(1)).optional().describe('ACL token. Never printed.'),
    timeout: positiveDuration.prefault('5s').describe('Longest wait for an answer, beyond `poll`.'),
    poll: duration
      .refine((ms) => ms >= 1_000 && ms <= MAX_WAIT_MS, { error: 'expected 1s to 10m' })
      .prefault('30s')
      .describe(
        'How long Consul may hold a question until something changes. A silent connection is noticed after it.',
      ),
    tls: tlsTowards('Consul').prefault({}),
  })
  .refine(
    ({ url, tls }) => url.startsWith('https:') || Object.values(tls).every((one) => one === undefined),
    { error: 'expected an https URL beside tls', path: ['url'] },
  )
  .describe('Instances of a service in Consul, followed by blocking queries.');

type Options = z.output<typeof schema>;

export const consul: DiscoveryKind<typeof schema> = {
  key: 'consul',
  schema,
  build: (options, deps) => new ConsulDiscovery(options, deps),
};

class ConsulDiscovery implements Discoverer {
  readonly #options: Options;
  readonly #deps: DiscoveryDeps;
  readonly #http: HttpClient;
  readonly #follower: ConsulFollower;

  constructor(options: Options, deps: DiscoveryDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#http = clientOf(deps.clock, options.tls);
    const { url, token, timeout, service, poll } = options;
    const client = new ConsulClient({ url: new URL(url).origin, token, timeoutMs: timeout }, this.#http);
    const path = `/v1/health/service/${encodeURIComponent(service)}`;
    const { clock, random, list } = deps;
    this.#follower = new ConsulFollower(
      client,
      { path, params: paramsOf(options), waitMs: poll },
      { clock, random, onAnswer: (body) => this.#take(body), onFailed: (message) => list.failed(message) },
    );
  }

  start(): void {
    this.#follower.start();
  }

  dispose(): void {
    this.#follower.dispose();
    this.#http.dispose();
  }

  #take(body: unknown): void {
    const { scheme, path = '', zoneKey, url } = this.#options;
    const { list } = this.#deps;
    const found = endpointsOf(body, { scheme, path, zoneKey });
    if (found) list.replace(found.endpoints, found.refused);
    else list.failed(`consul: ${url}: expected a list of instances`);
  }
}

const paramsOf = ({ tags, datacenter, namespace, partition, passingOnly, stale }: Options): ConsulParams => ({
  tag: tags,
  dc: datacenter,
  ns: namespace,
  partition,
  passing: passingOnly || undefined,
  stale: stale || undefined,
});
