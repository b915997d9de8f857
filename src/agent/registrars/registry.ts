/** Enters the agent in Outrigger's own registry: that of this sidecar, or that of another one over HTTP. */
import type { AgentIdentity, AgentStatus } from '../../core/agent.ts';
import type { InstanceRegistrar } from '../../core/registry.ts';
import type { HeartbeatAnswer, Registrar } from '../registrar.ts';

export interface RegistryRegistrarOptions {
  readonly name: string;
  readonly registry: InstanceRegistrar;
  readonly agent: AgentIdentity;
  readonly ttlMs: number;
  readonly dispose?: () => void;
}

export class RegistryRegistrar implements Registrar {
  readonly name: string;
  readonly #options: RegistryRegistrarOptions;

  constructor(options: RegistryRegistrarOptions) {
    this.#options = options;
    this.name = options.name;
  }

  async register(status: AgentStatus): Promise<void> {
    const { registry, agent, ttlMs } = this.#options;
    const { service, id, address: url, weight, priority, zone, metadata } = agent;
    const said = { service, id, url, status, weight, priority, metadata, ttlMs };
    await registry.register({ ...said, ...(zone !== undefined && { zone }) });
  }

  async heartbeat(status: AgentStatus): Promise<HeartbeatAnswer> {
    const { registry, agent } = this.#options;
    const answer = await registry.heartbeat(agent.service, agent.id, { status });
    return answer === 'unknown' ? 'unknown' : 'known';
  }

  async deregister(): Promise<void> {
    const { registry, agent } = this.#options;
    await registry.deregister(agent.service, agent.id);
  }

  dispose(): void {
    this.#options.dispose?.();
  }
}
