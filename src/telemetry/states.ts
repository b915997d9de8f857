/** What gauges ask of the rest of the process. */
import type { AgentSnapshot } from '../core/agent.ts';
import type { CheckReport, EndpointState } from '../core/endpoint.ts';
import type { DiscoveryStatus } from '../core/endpoint-source.ts';
import type { Snapshot } from '../core/policy.ts';
import type { ScalingAdvice } from '../core/scaling.ts';
import type { RegistryView } from '../core/registry.ts';

export interface States {
  readonly version: string;
  wallTime(): Date;
  generation(): number;
  configHash(): string;
  tunnels(): number;
  replayBytes(): number;
  /** Whether Redis is there; undefined where sidecars share nothing. */
  storeIsUp(): boolean | undefined;
  /** Undefined where there is no agent to look after. */
  agent(): AgentSnapshot | undefined;
  /** The embedded registry; undefined where there is none. */
  registry(): RegistryView | undefined;
  /** The servers that layers of the configuration live in, and whether they are there. */
  configSources(): readonly { readonly source: string; readonly up: boolean }[];
  upstreams(): readonly UpstreamState[];
}

export interface UpstreamState {
  readonly name: string;
  /** Snapshot of the policy of that name; undefined when the upstream has none. */
  policy(name: string): Snapshot | undefined;
  /** Where its endpoints are found; undefined where they stand in the configuration. */
  readonly discovery: DiscoveryStatus | undefined;
  /** Too few endpoints are well; all are used. */
  readonly panicking: boolean;
  /** Calls under way by what there is room for; null where that is not known. */
  readonly saturation: number | null;
  /** Undefined where no advice is wanted. */
  readonly scaling:
    | {
        readonly advice: ScalingAdvice;
        readonly instances: number;
        readonly desiredInstances: number;
        readonly demand: number;
      }
    | undefined;
  readonly endpoints: readonly {
    readonly name: string;
    readonly state: EndpointState;
    readonly active: number;
    readonly connected: number;
    readonly running: number;
    /** The newest active check; undefined where there was none. */
    readonly check: CheckReport | undefined;
  }[];
}
