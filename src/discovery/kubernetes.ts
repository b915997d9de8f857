/**
 * Endpoints from Kubernetes: the pods behind a Service, as its EndpointSlices tell. The list is read once, then changes are
 * watched; where the API server is away, the last list stays.
 */
import { z } from 'zod';
import type { Delays } from '../algorithms/backoff.ts';
import type { TimerHandle } from '../core/clock.ts';
import { hostName } from '../schema/endpoint.ts';
import { positiveDuration, watchedPath } from '../schema/scalars.ts';
import { HttpClientError } from '../transport/http-client.ts';
import type { Discoverer, DiscoveryDeps, DiscoveryKind } from './kind.ts';
import { ApiError, Expired, KubernetesApi, contentsOf } from './kubernetes/api.ts';
import { SliceTable } from './kubernetes/slices.ts';
import { basePath, port, scheme } from './reach-options.ts';
import { reconnectDelays } from './reconnect-delays.ts';

/** Where the kubelet puts what a pod needs to talk to the API server. */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const name = z.string().regex(LABEL, { error: 'expected a name such as "agents"' });

export const kubernetesSchema = z
  .strictObject({
    service: name.describe('Name of the Service whose pods are the endpoints.'),
    namespace: name.optional().describe('Its namespace. Default: that of this pod.'),
    port: z
      .union([port, z.string().min(1)])
      .optional()
      .describe(
        'Port of the pods: the name that it has in the Service, or its number. Default: the only one that there is.',
      ),
    scheme,
    basePath,
    hostName: hostName.describe(
      'Host name for the Host field and the certificate. Default: `<service>.<namespace>.svc`.',
    ),
    apiServer: z
      .url({ protocol: /^https?$/, error: 'expected a URL such as "https://10.0.0.1:443"' })
      .default('https://kubernetes.default.svc')
      .describe('Address of the Kubernetes API server.'),
    tokenFile: watchedPath
      .optional()
      .describe(
        'File with the bearer token, read for every request. Default, over https: the service account’s.',
      ),
    caFile: watchedPath
      .optional()
      .describe(
        'PEM file with the roots of the API server’s certificate. Default, over https: the service account’s.',
      ),
    watchTimeout: positiveDuration
      .refine((ms) => ms >= 1_000, { error: 'expected at least 1s' })
      .prefault('2m')
      .describe(
        'How long one watch lasts, at least a second; up to half as long again, so that they spread.',
      ),
  })
  .describe('Endpoints are the pods behind a Kubernetes Service.');

export type KubernetesOptions = z.output<typeof kubernetesSchema>;

/** A server that asks to be left alone for longer is asked all the same. */
const MAX_RETRY_AFTER_MS = 60_000;
/** A watch that ends earlier did not work. */
const SHORT_WATCH_MS = 1_000;

class KubernetesDiscoverer implements Discoverer {
  readonly #options: KubernetesOptions;
  readonly #deps: DiscoveryDeps;
  readonly #stopped = new AbortController();
  #parts: { readonly api: KubernetesApi; readonly table: SliceTable } | undefined;
  #delays: Delays | undefined;
  #timer: TimerHandle | undefined;
  /** It was too old what was asked for, and no watch has stood since. */
  #expired = false;
  /** Where the next watch goes on; undefined: nowhere, a list comes first. */
  #from: string | undefined;

  constructor(options: KubernetesOptions, deps: DiscoveryDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  start(): void {
    void this.#step();
  }

  dispose(): void {
    this.#stopped.abort();
    if (this.#timer) this.#deps.clock.clearTimer(this.#timer);
    this.#parts?.api.dispose();
  }

  async #step(): Promise<void> {
    const startedAt = this.#deps.clock.now();
    const error = await this.#follow().then(
      () => undefined,
      (reason: unknown) => reason as Error,
    );
    if (this.#stopped.signal.aborted) return;
    const lastedMs = this.#deps.clock.now() - startedAt;
    const waitMs = error ? this.#failed(error) : this.#ended(lastedMs);
    this.#timer = this.#deps.clock.setBackgroundTimer(waitMs, () => void this.#step());
  }

  /** Lists where that is needed, and watches once. */
  async #follow(): Promise<void> {
    const { api, table } = (this.#parts ??= this.#build());
    const { signal } = this.#stopped;
    if (this.#from === undefined) {
      const { slices, resourceVersion } = await api.list(signal);
      table.replaceAll(slices);
      this.#publish(table);
      this.#from = resourceVersion;
    }
    let open = false;
    const opened = (): void => {
      open = true;
      this.#publish(table);
    };
    try {
      for await (const event of api.watch(this.#from, { seconds: this.#watchSeconds(), signal, opened })) {
        this.#steady();
        this.#from = event.resourceVersion ?? this.#from;
        if (event.type === 'bookmark') continue;
        if (event.type === 'put') table.put(event.slice);
        else table.delete(event.slice);
        this.#publish(table);
      }
    } catch (error) {
      // A connection that breaks off in between is nothing yet: the next watch goes on where it was.
      if (!open || !(error instanceof HttpClientError)) throw error;
    }
  }

  #ended(lastedMs: number): number {
    if (lastedMs < SHORT_WATCH_MS) return this.#backoffMs();
    this.#steady();
    return 0;
  }

  #steady(): void {
    this.#delays = undefined;
    this.#expired = false;
  }

  #failed(error: Error): number {
    this.#from = undefined;
    // Now and then a new list is due. Where that does not help, something is wrong.
    const isDue = error instanceof Expired && !this.#expired;
    this.#expired = error instanceof Expired;
    if (isDue) return this.#backoffMs();
    this.#deps.list.failed(error.message);
    const askedMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    return Math.max(this.#backoffMs(), Math.min(askedMs, MAX_RETRY_AFTER_MS));
  }

  /** What is not known of the files yet is an outage like others. @throws ApiError */
  #build(): { readonly api: KubernetesApi; readonly table: SliceTable } {
    const { service, apiServer, scheme: endpointScheme, basePath: path, port: wanted } = this.#options;
    const { namespace = contentsOf(`${SERVICE_ACCOUNT}/namespace`).trim() } = this.#options;
    // Nobody’s token goes over the wire in clear text unless the operator says so.
    const own = apiServer.startsWith('https:');
    const { tokenFile = own ? `${SERVICE_ACCOUNT}/token` : undefined } = this.#options;
    const { caFile = own ? `${SERVICE_ACCOUNT}/ca.crt` : undefined } = this.#options;
    const { hostName: host = `${service}.${namespace}.svc` } = this.#options;
    return {
      api: new KubernetesApi({ apiServer, tokenFile, caFile, namespace, service }, this.#deps.clock),
      table: new SliceTable({ scheme: endpointScheme, basePath: path, port: wanted, hostName: host }),
    };
  }

  #publish(table: SliceTable): void {
    this.#deps.list.replace(table.endpoints());
  }

  #watchSeconds(): number {
    return Math.ceil((this.#options.watchTimeout / 1_000) * (1 + this.#deps.random.next() / 2));
  }

  #backoffMs(): number {
    this.#delays ??= reconnectDelays(this.#deps.random);
    return this.#delays();
  }
}

export const kubernetes: DiscoveryKind<typeof kubernetesSchema> = {
  key: 'kubernetes',
  schema: kubernetesSchema,
  build: (options, deps) => new KubernetesDiscoverer(options, deps),
};
