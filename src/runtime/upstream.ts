/** One upstream, alive: its pipeline, its endpoints, and what the server must know to feed it. */
import type { Cancellation } from '../core/cancellation.ts';
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
}

export class LiveUpstream {
  readonly identity: UpstreamIdentity;
  readonly settings: UpstreamSettings;
  readonly endpoints: EndpointSet;
  readonly policies: ReadonlyMap<string, Policy<Scope>>;
  readonly #run: Next<Exchange>;

  constructor(init: {
    identity: UpstreamIdentity;
    settings: UpstreamSettings;
    endpoints: EndpointSet;
    policies: ReadonlyMap<string, Policy<Scope>>;
    run: Next<Exchange>;
  }) {
    this.identity = init.identity;
    this.settings = init.settings;
    this.endpoints = init.endpoints;
    this.policies = init.policies;
    this.#run = init.run;
  }

  get name(): string {
    return this.identity.name;
  }

  /** Sends an exchange through the whole pipeline. Never throws. */
  send(exchange: Exchange, cancellation: Cancellation): Promise<Outcome> {
    return this.#run(exchange, cancellation);
  }

  snapshots(): PolicySnapshot[] {
    return [...this.policies.values()].map((policy) => ({ name: policy.name, state: policy.snapshot() }));
  }
}
