/** Instances that registered themselves, as everybody sees them: the registry that keeps them, and who looks them up. */

/**
 * What an instance says of itself, and what the registry says of one that says nothing any more.
 * `up`: give it work. `starting`: not yet. `degraded`: where nothing better is there. `stopping`: it finishes what it has.
 * `down`: none; also whoever let its lease run out.
 */
export const INSTANCE_STATUSES = ['up', 'starting', 'degraded', 'stopping', 'down'] as const;

export type InstanceStatus = (typeof INSTANCE_STATUSES)[number];

/** What an instance tells of itself when it registers. */
export interface Registration {
  readonly service: string;
  /** Unique within its service. */
  readonly id: string;
  /** `http` or `https`, host, port and perhaps a base path. */
  readonly url: string;
  readonly status: InstanceStatus;
  /** Share of the traffic relative to the others', 0 to 1000. */
  readonly weight: number;
  /** 0 is asked first. */
  readonly priority: number;
  readonly zone: string | undefined;
  /** Capabilities and whatever else chooses among instances. */
  readonly metadata: Readonly<Record<string, string>>;
  /** How long it counts as alive after each heartbeat, in milliseconds. */
  readonly ttlMs: number;
}

/** A registration as it stands now. A value: another one takes its place whenever something of it changes. */
export interface Instance extends Registration {
  /** `down` where the lease ran out, whatever it said. */
  readonly status: InstanceStatus;
  /** What it said last. */
  readonly reported: InstanceStatus;
  /** Its lease ran out. */
  readonly expired: boolean;
  /** By the clock of this process. */
  readonly registeredAt: number;
  /** Of the catalog when it became what it is; later changes have higher ones. */
  readonly revision: number;
  /** This registry, rather than one that it shares with, heard of it last. */
  readonly here: boolean;
}

/** Something that happened to an instance, for whoever follows the catalog. */
export interface InstanceChange {
  readonly revision: number;
  readonly kind: 'registered' | 'changed' | 'expired' | 'left';
  /** As it is now; of one that left, as it was. */
  readonly instance: Instance;
}

/** The registry inside this process, for discovery. It is always there; without a `registry` section it stays empty. */
export interface InstanceDirectory {
  /** All instances of a service, ordered by id, whatever their status. */
  instancesOf(service: string): readonly Instance[];
  /**
   * Milliseconds until whoever lives must have been heard since this registry began; 0: that is over. Till then an instance
   * that is missing here may only not have come to it yet.
   */
  readonly settlesInMs: number;
  /** @returns takes the listener away. It is called after changes, once for several, never during one. */
  onChange(listener: () => void): () => void;
}

/** What the registry promised. */
export interface Lease {
  /** It counts as alive so long after each heartbeat, in milliseconds. */
  readonly ttlMs: number;
  /** How long to wait before the next heartbeat, in milliseconds; another time in each answer, so that crowds disperse. */
  readonly heartbeatMs: number;
}

/** An instance that registers: what it leaves out is `up`, weight 1, priority 0 and the registry's own TTL. */
export type InstanceReport = Pick<Registration, 'service' | 'id' | 'url'> &
  Partial<Pick<Registration, 'status' | 'weight' | 'priority' | 'zone' | 'metadata' | 'ttlMs'>>;

/** Where an instance keeps itself registered. Its methods reject with one sentence that is fit for a log line; `signal` breaks them off. */
export interface InstanceRegistrar {
  /** Takes it in, or renews its lease; replaces all that was said of it before. */
  register(report: InstanceReport, signal?: AbortSignal): Promise<Lease>;
  /** @returns `unknown` where it must register anew, as after the registry lost its memory */
  heartbeat(
    service: string,
    id: string,
    said?: { readonly status?: InstanceStatus; readonly weight?: number },
    signal?: AbortSignal,
  ): Promise<Lease | 'unknown'>;
  /** @returns whether it was there */
  deregister(service: string, id: string, signal?: AbortSignal): Promise<boolean>;
}

export interface ServiceStatistics {
  readonly service: string;
  readonly instances: number;
  readonly byStatus: Readonly<Record<InstanceStatus, number>>;
  /** Of instances that were not there before, since this registry or the service began. */
  readonly registrations: number;
  readonly deregistrations: number;
  readonly heartbeats: number;
  readonly expiries: number;
  /** Since its first instance registered. */
  readonly ageMs: number;
}

/** What operators see. */
export interface RegistryView {
  readonly listen: { readonly host: string; readonly port: number };
  readonly instances: number;
  readonly watchers: number;
  readonly revision: number;
  /** `off`: it shares nothing. `away`: what it shares in is not there; it decides alone meanwhile. */
  readonly sharing: 'off' | 'up' | 'away';
  readonly services: readonly ServiceStatistics[];
}
