/** The local agent: what is said of it to others, and how it is. */

/**
 * How the agent is. `starting`: it has not answered its first check, or was restarted. `up`: its checks pass. `degraded`: it says
 * that it is not quite well, or a check failed, but not yet as many as make it down. `down`: its checks fail. `stopping`: the sidecar
 * drains.
 */
export const AGENT_STATUSES = ['starting', 'up', 'degraded', 'down', 'stopping'] as const;

export type AgentStatus = (typeof AGENT_STATUSES)[number];

/** What a registry is told of the agent; its status comes beside. */
export interface AgentIdentity {
  readonly service: string;
  /** Unique among the instances of all services. */
  readonly id: string;
  /** Scheme, host, port and base path under which others reach it. */
  readonly address: string;
  /** Share of the traffic relative to the others', ≥ 0. */
  readonly weight: number;
  /** 0 is asked first. */
  readonly priority: number;
  readonly zone: string | undefined;
  /** What else is known of it, such as capabilities. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** A recovery action as operators see it. */
export interface RecoverySnapshot {
  readonly action: string;
  readonly after: number;
  /** Runs within the last hour. */
  readonly runsInHour: number;
  /** Until it may run again, in milliseconds; 0: whenever it is due. */
  readonly waitMs: number;
}

/** What operators see of the agent. */
export interface AgentSnapshot extends AgentIdentity {
  readonly status: AgentStatus;
  /** Failed checks since it was last well. */
  readonly failures: number;
  /** What the last check found, in words; undefined before the first. */
  readonly lastCheck:
    { readonly result: string; readonly message: string; readonly durationMs: number } | undefined;
  /** Undefined where it is registered nowhere. */
  readonly registration:
    | { readonly registry: string; readonly registered: boolean; readonly error: string | undefined }
    | undefined;
  readonly recovery: readonly RecoverySnapshot[];
}
