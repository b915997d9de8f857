/** A place where the agent is entered: what every kind of registry is to the one who keeps the agent there. */
import type { AgentStatus } from '../core/agent.ts';
import type { Lease } from '../core/registry.ts';

/** Three signs of life in a lease, where the registry does not say how many it wants: one may be lost and one late. */
export const leaseOf = (ttlMs: number): Lease => ({ ttlMs, heartbeatMs: ttlMs / 3 });

/** What a registry said to a sign of life. `unknown`: it does not know the agent (any more); register it anew. */
export type HeartbeatAnswer = Lease | 'unknown';

/** Every method rejects with a message fit for a log line, and ends soon after `signal` is aborted. */
export interface Registrar {
  /** Kind and address, such as `consul http://127.0.0.1:8500`; never with a secret. */
  readonly name: string;
  /** Enters the agent, or replaces what stands there under its id. */
  register(status: AgentStatus, signal: AbortSignal): Promise<Lease>;
  /** Says that the agent is still there, and how it is. */
  heartbeat(status: AgentStatus, signal: AbortSignal): Promise<HeartbeatAnswer>;
  /** Takes the agent out. Resolves also where it was not entered. */
  deregister(signal: AbortSignal): Promise<void>;
  dispose(): void;
}
