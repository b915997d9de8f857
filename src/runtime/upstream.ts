/** One upstream, alive: its pipeline, its endpoints, and what the server must know to feed it. */
import type { Broadcast } from '../broadcast/broadcast.ts';
import type { Instance } from '../broadcast/result.ts';
import type { Attendant } from '../core/attendant.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { CallFacts } from '../core/dialect.ts';
import type { DiscoveryStatus, EndpointSource } from '../core/endpoint-source.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Next, Policy, Scope, Snapshot } from '../core/policy.ts';
import type { UpstreamIdentity } from '../core/upstream-identity.ts';
import type { ReachableEndpoint } from '../endpoints/reachable.ts';
import type { EndpointSet } from '../endpoints/endpoint-set.ts';
import type { ScalingWatch } from '../endpoints/scaling-watch.ts';

export interface UpstreamSettings {
  /** Path prefix on the shared listener; undefined when it only has a listener of its own. */
  readonly route: string | undefined;
  /** `host:port` of a listener of its own, without a prefix. */
  readonly listen: string | undefined;
  readonly replayLimitBytes: number;
  readonly bufferFirstBytes: number;
  /** Protocols that a client may switch to, in lower case. */
  readonly upgrades: readonly string[];
  /** Longest silence on an upgraded connection. */
  readonly tunnelIdleMs: number;
  /** Calls that an endpoint has room for; undefined where the operator did not say. */
  readonly capacity: number | undefined;
  /** Lower-case name of the field in which clients may name the endpoint that is to answer; undefined: they may not. */
  readonly endpointHeader: string | undefined;
}

export interface PolicySnapshot {
  readonly name: string;
  readonly state: Snapshot;
  /** Name of the override that it belongs to; absent for the upstream's own. */
  readonly override?: string;
}

/** Other policies for some calls. */
export interface LiveOverride {
  readonly name: string;
  matches(call: CallFacts): boolean;
  /** Those that are its own; the others are the upstream's. */
  readonly policies: ReadonlyMap<string, Policy<Scope>>;
  readonly run: Next<Exchange>;
  readonly endpoints: EndpointSet;
}

export class LiveUpstream {
  readonly identity: UpstreamIdentity;
  readonly settings: UpstreamSettings;
  readonly endpoints: EndpointSet;
  /** Where the list of endpoints comes from. */
  readonly source: EndpointSource;
  readonly policies: ReadonlyMap<string, Policy<Scope>>;
  /** Undefined where no advice on scaling is wanted. */
  readonly scaling: ScalingWatch | undefined;
  readonly #broadcast: Broadcast | undefined;
  readonly #attendants: readonly Attendant[];
  readonly #run: Next<Exchange>;
  readonly #overrides: readonly LiveOverride[];

  constructor(init: {
    identity: UpstreamIdentity;
    settings: UpstreamSettings;
    endpoints: EndpointSet;
    source: EndpointSource;
    attendants: readonly Attendant[];
    policies: ReadonlyMap<string, Policy<Scope>>;
    run: Next<Exchange>;
    overrides: readonly LiveOverride[];
    scaling?: (upstream: LiveUpstream) => ScalingWatch | undefined;
    broadcast: Broadcast | undefined;
  }) {
    this.identity = init.identity;
    this.settings = init.settings;
    this.endpoints = init.endpoints;
    this.source = init.source;
    this.policies = init.policies;
    this.#run = init.run;
    this.#overrides = init.overrides;
    this.scaling = init.scaling?.(this);
    this.#attendants = this.scaling ? [...init.attendants, this.scaling] : init.attendants;
    this.#broadcast = init.broadcast;
  }

  get name(): string {
    return this.identity.name;
  }

  /** How its endpoints are found; undefined where they stand in the configuration. */
  get discovery(): DiscoveryStatus | undefined {
    return this.source.status;
  }

  /** Sends an exchange through the whole pipeline. Never throws. */
  send(exchange: Exchange, cancellation: Cancellation): Promise<Outcome> {
    return this.#overrides.length === 0
      ? this.#run(exchange, cancellation)
      : this.#sendByCall(exchange, cancellation);
  }

  /** It takes requests that are for all of its endpoints. */
  get broadcasts(): boolean {
    return this.#broadcast !== undefined;
  }

  /** Sends an exchange to every endpoint, each time through the whole pipeline, and collects the answers. Never throws. */
  async sendToAll(exchange: Exchange, cancellation: Cancellation): Promise<Outcome> {
    if (!this.#broadcast) return this.send(exchange, cancellation);
    return this.#broadcast.run(exchange, cancellation, {
      instances: () => this.endpoints.everyoneFor(exchange).map(instanceOf),
      send: (one, its) => this.send(one, its),
    });
  }

  /** It is in force now. */
  takeOver(): void {
    for (const attendant of this.#attendants) attendant.start();
    for (const { endpoints } of this.#overrides) endpoints.join();
  }

  /** It stays in force: what was to follow it was refused. */
  insist(): void {
    this.endpoints.insist();
  }

  /** The lists of endpoints stay as they are from now on, and nothing works beside the calls that are under way. */
  retire(): void {
    for (const attendant of this.#attendants) attendant.stop();
    this.endpoints.dispose();
    for (const { endpoints } of this.#overrides) endpoints.dispose();
  }

  /** The policy of that name, and those that overrides have instead. */
  everyPolicy(name: string): Policy<Scope>[] {
    const all = [this.policies, ...this.#overrides.map(({ policies }) => policies)];
    return all.flatMap((policies) => policies.get(name) ?? []);
  }

  /** Calls that wait for a place in a bulkhead. */
  get waiting(): number {
    return this.bulkheads.reduce((sum, { queued }) => sum + queued, 0);
  }

  /** Its own, and those of its overrides. */
  get bulkheads(): { readonly limit: number; readonly queued: number }[] {
    return this.everyPolicy('bulkhead').map((policy) => {
      const { limit, queued } = policy.snapshot();
      return { limit: Number(limit), queued: Number(queued) };
    });
  }

  snapshots(): PolicySnapshot[] {
    return [...snapshotsOf(this.policies), ...this.#overrides.flatMap(overrideSnapshots)];
  }

  async #sendByCall(exchange: Exchange, cancellation: Cancellation): Promise<Outcome> {
    // What is called stands in the body: it is waited for, as far as it can be kept.
    if (exchange.body.peek() === undefined) await exchange.body.whole();
    const override = this.#overrides.find((one) => one.matches(exchange.call));
    return (override?.run ?? this.#run)(exchange, cancellation);
  }
}

const instanceOf = ({ endpoint: { name, instance }, member }: ReachableEndpoint): Instance => ({
  endpoint: name,
  instance,
  state: member.state,
});

const snapshotsOf = (policies: ReadonlyMap<string, Policy<Scope>>): PolicySnapshot[] =>
  [...policies.values()].map((policy) => ({ name: policy.name, state: policy.snapshot() }));

const overrideSnapshots = ({ name, policies }: LiveOverride): PolicySnapshot[] =>
  snapshotsOf(policies).map((one) => ({ ...one, override: name }));
