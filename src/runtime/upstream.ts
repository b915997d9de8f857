/** One upstream, alive: its pipeline, its endpoints, and what the server must know to feed it. */
import type { Attendant } from '../core/attendant.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { CallFacts } from '../core/dialect.ts';
import type { DiscoveryStatus, EndpointSource } from '../core/endpoint-source.ts';
import type { Exchange, UpstreamIdentity } from '../core/exchange.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Next, Policy, Scope, Snapshot } from '../core/policy.ts';
import type { EndpointSet } from '../endpoints/endpoint-set.ts';

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
  }) {
    this.identity = init.identity;
    this.settings = init.settings;
    this.endpoints = init.endpoints;
    this.source = init.source;
    this.#attendants = init.attendants;
    this.policies = init.policies;
    this.#run = init.run;
    this.#overrides = init.overrides;
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

  /** It is in force now. */
  takeOver(): void {
    for (const attendant of this.#attendants) attendant.start();
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

const snapshotsOf = (policies: ReadonlyMap<string, Policy<Scope>>): PolicySnapshot[] =>
  [...policies.values()].map((policy) => ({ name: policy.name, state: policy.snapshot() }));

const overrideSnapshots = ({ name, policies }: LiveOverride): PolicySnapshot[] =>
  snapshotsOf(policies).map((one) => ({ ...one, override: name }));
