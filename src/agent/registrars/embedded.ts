/** Enters the agent in the registry of this very sidecar: no network between, and nothing that could be away. */
import type { AgentIdentity, AgentStatus } from '../../core/agent.ts';
import type { HeartbeatAnswer, Registrar } from '../registrar.ts';

/** What an instance tells the registry. */
export interface EmbeddedEntry extends Omit<AgentIdentity, 'address'> {
  readonly url: string;
  readonly status: AgentStatus;
  readonly ttlMs: number;
}

/** The part of the registry that is needed here. */
export interface EmbeddedRegistry {
  register(entry: EmbeddedEntry): { readonly ok: true } | { readonly ok: false; readonly limit: string };
  /** @returns undefined where there is no such instance */
  heartbeat(service: string, id: string, said: { readonly status: AgentStatus }): object | undefined;
  deregister(service: string, id: string): unknown;
}

export class EmbeddedRegistrar implements Registrar {
  readonly name = 'embedded registry';
  readonly #registry: () => EmbeddedRegistry | undefined;
  readonly #agent: AgentIdentity;
  readonly #ttlMs: number;

  constructor(registry: () => EmbeddedRegistry | undefined, agent: AgentIdentity, ttlMs: number) {
    this.#registry = registry;
    this.#agent = agent;
    this.#ttlMs = ttlMs;
  }

  async register(status: AgentStatus): Promise<void> {
    const { address: url, ...rest } = this.#agent;
    const answer = this.#required().register({ ...rest, url, status, ttlMs: this.#ttlMs });
    if (!answer.ok) throw new Error(`the registry is full: ${answer.limit}`);
  }

  async heartbeat(status: AgentStatus): Promise<HeartbeatAnswer> {
    const { service, id } = this.#agent;
    return this.#required().heartbeat(service, id, { status }) ? 'known' : 'unknown';
  }

  async deregister(): Promise<void> {
    this.#registry()?.deregister(this.#agent.service, this.#agent.id);
  }

  dispose(): void {
    // The registry is not ours.
  }

  #required(): EmbeddedRegistry {
    const registry = this.#registry();
    if (!registry) throw new Error('there is no registry in this sidecar');
    return registry;
  }
}
