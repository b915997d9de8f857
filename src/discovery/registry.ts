/** Endpoints that registered themselves: in the registry of this process, or in one elsewhere, which is followed. */
import { z } from 'zod';
import type { Delays } from '../algorithms/backoff.ts';
import { sleep } from '../core/clock.ts';
import { Cancellation } from '../core/cancellation.ts';
import { endpointUrl } from '../schema/endpoint.ts';
import { secret } from '../schema/scalars.ts';
import { tlsTowards } from '../schema/tls.ts';
import type { HttpClient } from '../transport/http-client.ts';
import { clientOf } from './client-of.ts';
import type { Discoverer, DiscoveryDeps, DiscoveryKind } from './kind.ts';
import { Gathering } from './gathering.ts';
import { reconnectDelays } from './reconnect-delays.ts';
import { endpointsOf } from './registry-endpoints.ts';
import type { KnownInstance } from './registry-endpoints.ts';
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

class EmbeddedRegistry implements Discoverer {
  readonly #options: RegistryDiscoveryOptions;
  readonly #deps: DiscoveryDeps;
  readonly #changes: Gathering;
  #unsubscribe: (() => void) | undefined;

  constructor(options: RegistryDiscoveryOptions, deps: DiscoveryDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#changes = new Gathering(deps.clock, () => this.#publish());
  }

  start(): void {
    const { registry: directory, list } = this.#deps;
    if (!directory) return list.failed('there is no registry in this process');
    this.#unsubscribe = directory.onChange(() => this.#changes.occasion());
    this.#publish();
  }

  dispose(): void {
    this.#unsubscribe?.();
    this.#changes.dispose();
  }

  #publish(): void {
    const { service, metadata } = this.#options;
    const { registry: directory, list } = this.#deps;
    list.replace(endpointsOf(directory?.instancesOf(service) ?? [], metadata));
  }
}

class RemoteRegistry implements Discoverer {
  readonly #options: RegistryDiscoveryOptions & { readonly url: string };
  readonly #deps: DiscoveryDeps;
  readonly #end = new Cancellation();
  #http: HttpClient | undefined;
  readonly #changes: Gathering;
  #delays: Delays;
  /** What the registry said last; undefined before it said something. */
  #known: ReadonlyMap<string, KnownInstance> | undefined;

  constructor(options: RegistryDiscoveryOptions & { readonly url: string }, deps: DiscoveryDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#changes = new Gathering(deps.clock, () => this.#publish());
    this.#delays = reconnectDelays(deps.random);
  }

  start(): void {
    this.#http = clientOf(this.#deps.clock, this.#options.tls);
    void this.#run(this.#http);
  }

  dispose(): void {
    this.#end.cancel('superseded');
    this.#http?.dispose();
    this.#changes.dispose();
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
        if (this.#end.cancelled) return;
        // What it said before that is no sign of its return.
        this.#changes.flush();
        list.failed((error as Error).message);
      }
      await sleep(clock, this.#delays(), this.#end);
    }
  }

  #heard(known: ReadonlyMap<string, KnownInstance>): void {
    this.#delays = reconnectDelays(this.#deps.random);
    this.#settle(known);
  }

  #settle(known: ReadonlyMap<string, KnownInstance>): void {
    this.#known = known;
    this.#changes.occasion();
  }

  #publish(): void {
    this.#deps.list.replace(endpointsOf([...(this.#known?.values() ?? [])], this.#options.metadata));
  }
}
