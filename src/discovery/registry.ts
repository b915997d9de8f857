/** Endpoints that registered themselves: in the registry of this process, or in one elsewhere, which is followed. */
import { z } from 'zod';
import { delays } from '../algorithms/backoff.ts';
import type { Delays } from '../algorithms/backoff.ts';
import { sleep } from '../core/clock.ts';
import { Cancellation } from '../core/cancellation.ts';
import type { EndpointDescription } from '../core/endpoint.ts';
import type { Instance, InstanceDirectory, InstanceStatus } from '../core/registry.ts';
import { endpointUrl } from '../schema/endpoint.ts';
import { secret } from '../schema/scalars.ts';
import { tlsTowards } from '../schema/tls.ts';
import type { HttpClient } from '../transport/http-client.ts';
import { clientOf } from './client-of.ts';
import type { Discoverer, DiscoveryDeps, DiscoveryKind } from './kind.ts';
import { followRegistry } from './registry-stream.ts';

const schema = z
  .strictObject({
    service: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, { error: 'expected the name of a service' })
      .describe('Name under which the instances register.'),
    url: endpointUrl
      .optional()
      .describe('Registry elsewhere, such as that of another sidecar. Default: the one of this sidecar.'),
    token: secret(z.string().min(8)).optional().describe('Bearer token for the registry at `url`.'),
    tls: tlsTowards('the registry at `url`').prefault({}),
    metadata: z
      .record(z.string(), z.string())
      .default({})
      .describe('Only instances whose metadata has all of this.'),
  })
  .refine(({ url, token }) => token === undefined || url !== undefined, {
    error: 'expected no token: the registry of this sidecar needs none',
    path: ['token'],
  })
  .refine(
    ({ url, tls }) => url?.startsWith('https:') || Object.values(tls).every((one) => one === undefined),
    { error: 'expected an https URL beside tls', path: ['url'] },
  )
  .describe('Instances that registered themselves; see registry.');

type RegistryDiscoveryOptions = z.output<typeof schema>;

export const registry: DiscoveryKind<typeof schema> = {
  key: 'registry',
  schema,
  build: (options, deps) =>
    options.url === undefined
      ? new EmbeddedRegistry(options, deps)
      : new RemoteRegistry({ ...options, url: options.url }, deps),
};

/** What is known of an instance here and elsewhere. */
export type KnownInstance = Pick<
  Instance,
  'id' | 'url' | 'status' | 'weight' | 'priority' | 'zone' | 'metadata'
>;

const STATUS_OF: Readonly<Record<InstanceStatus, NonNullable<EndpointDescription['status']>>> = {
  up: 'up',
  starting: 'starting',
  degraded: 'degraded',
  stopping: 'draining',
  down: 'down',
};

/** By id, so that the same instances are always the same list. */
function endpointsOf(
  instances: readonly KnownInstance[],
  wanted: Readonly<Record<string, string>>,
): EndpointDescription[] {
  const pairs = Object.entries(wanted);
  return instances
    .filter(({ metadata }) => pairs.every(([key, value]) => metadata[key] === value))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ id, url, status, weight, priority, zone, metadata }) => ({
      ...{ url, weight, priority, metadata, instance: id, status: STATUS_OF[status] },
      ...(zone !== undefined && { zone }),
    }));
}

class EmbeddedRegistry implements Discoverer {
  readonly #options: RegistryDiscoveryOptions;
  readonly #deps: DiscoveryDeps;
  #unsubscribe: (() => void) | undefined;

  constructor(options: RegistryDiscoveryOptions, deps: DiscoveryDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  start(): void {
    const { registry: directory, list } = this.#deps;
    if (!directory) return list.failed('there is no registry in this process');
    this.#unsubscribe = directory.onChange(() => this.#publish(directory));
    this.#publish(directory);
  }

  dispose(): void {
    this.#unsubscribe?.();
  }

  #publish(directory: InstanceDirectory): void {
    const { service, metadata } = this.#options;
    this.#deps.list.replace(endpointsOf(directory.instancesOf(service), metadata));
  }
}

/** From a second to half a minute, the upper half of each left to chance: a registry that comes back is not run over. */
const BACKOFF = {
  kind: 'exponential',
  initialMs: 1_000,
  maxMs: 30_000,
  multiplier: 2,
  jitter: 'equal',
  jitterRatio: 0,
} as const;

class RemoteRegistry implements Discoverer {
  readonly #options: RegistryDiscoveryOptions & { readonly url: string };
  readonly #deps: DiscoveryDeps;
  readonly #end = new Cancellation();
  #http: HttpClient | undefined;
  #delays: Delays;
  /** What the registry said last; undefined before it said something. */
  #known: ReadonlyMap<string, KnownInstance> | undefined;

  constructor(options: RegistryDiscoveryOptions & { readonly url: string }, deps: DiscoveryDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#delays = delays(BACKOFF, deps.random);
  }

  start(): void {
    this.#http = clientOf(this.#deps.clock, this.#options.tls);
    void this.#run(this.#http);
  }

  dispose(): void {
    this.#end.cancel('superseded');
    this.#http?.dispose();
  }

  /** Follows, and when that ends begins anew, for as long as it is wanted. */
  async #run(http: HttpClient): Promise<void> {
    const { clock, list } = this.#deps;
    const { url, token, service } = this.#options;
    while (!this.#end.cancelled) {
      try {
        await followRegistry(
          { url, token, service, known: this.#known },
          { http, clock, heard: (known) => this.#heard(known), settle: (known) => this.#settle(known) },
        );
      } catch (error) {
        if (!this.#end.cancelled) list.failed((error as Error).message);
      }
      await sleep(clock, this.#delays(), this.#end);
    }
  }

  #heard(known: ReadonlyMap<string, KnownInstance>): void {
    this.#delays = delays(BACKOFF, this.#deps.random);
    this.#settle(known);
  }

  #settle(known: ReadonlyMap<string, KnownInstance>): void {
    this.#known = known;
    this.#deps.list.replace(endpointsOf([...known.values()], this.#options.metadata));
  }
}
