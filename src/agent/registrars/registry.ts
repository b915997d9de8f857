/** Enters the agent in Outrigger's own registry: that of this sidecar, or that of another one over HTTP. */
import type { AgentIdentity, AgentStatus } from '../../core/agent.ts';
import type { InstanceRegistrar, Lease } from '../../core/registry.ts';
import type { HeartbeatAnswer, Registrar } from '../registrar.ts';

export interface RegistryRegistrarOptions {
  readonly name: string;
  readonly registry: InstanceRegistrar;
  readonly agent: AgentIdentity;
  /** Undefined: the registry's own. */
  readonly ttlMs: number | undefined;
  readonly dispose?: () => void;
}

export class RegistryRegistrar implements Registrar {
  readonly name: string;
  readonly #options: RegistryRegistrarOptions;

  constructor(options: RegistryRegistrarOptions) {
    this.#options = options;
    this.name = options.name;
  }

  register(status: AgentStatus, signal: AbortSignal): Promise<Lease> {
    const { registry, agent, ttlMs } = this.#options;
    const { service, id, address: url, weight, priority, zone, metadata } = agent;
    const said = { service, id, url, status, weight, priority, metadata };
    const perhaps = { ...(zone !== undefined && { zone }), ...(ttlMs !== undefined && { ttlMs }) };
    return registry.register({ ...said, ...perhaps }, signal);
  }

  heartbeat(status: AgentStatus, signal: AbortSignal): Promise<HeartbeatAnswer> {
    const { registry, agent } = this.#options;
    return registry.heartbeat(agent.service, agent.id, { status }, signal);
  }

  async deregister(signal: AbortSignal): Promise<void> {
    const { registry, agent } = this.#options;
    await registry.deregister(agent.service, agent.id, signal);
  }

  dispose(): void {
    this.#options.dispose?.();
  }
}
