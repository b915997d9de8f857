/**
 * Enters the agent with Consul's agent on this machine: a service with a TTL check, whose state follows the agent's. A Consul
 * that has lost the service says so to the next sign of life.
 * @see https://developer.hashicorp.com/consul/api-docs/agent/check#ttl-check-update
 */
import type { AgentIdentity, AgentStatus } from '../../core/agent.ts';
import { SourceError } from '../../discovery/source-error.ts';
import type { ConsulClient, ConsulParams, ConsulService } from '../../discovery/consul-client.ts';
import type { Lease } from '../../core/registry.ts';
import { leaseOf } from '../registrar.ts';
import type { HeartbeatAnswer, Registrar } from '../registrar.ts';

export interface ConsulRegistrarOptions {
  readonly client: ConsulClient;
  readonly url: string;
  readonly namespace: string | undefined;
  readonly partition: string | undefined;
  readonly agent: AgentIdentity;
  readonly ttlMs: number;
  readonly deregisterAfterMs: number;
  readonly dispose: () => void;
}

type ConsulState = 'passing' | 'warning' | 'critical';

/** Consul knows three states; what is neither well nor degraded gets no calls. */
const STATES: Readonly<Record<AgentStatus, ConsulState>> = {
  up: 'passing',
  degraded: 'warning',
  starting: 'critical',
  stopping: 'critical',
  down: 'critical',
};

export class ConsulRegistrar implements Registrar {
  readonly name: string;
  readonly #options: ConsulRegistrarOptions;
  readonly #check: string;
  readonly #lease: Lease;
  /** Where in Consul; it takes these with every call. */
  readonly #where: ConsulParams;

  constructor(options: ConsulRegistrarOptions) {
    this.#options = options;
    this.name = `consul ${options.url}`;
    this.#check = `service:${options.agent.id}`;
    this.#lease = leaseOf(options.ttlMs);
    this.#where = { ns: options.namespace, partition: options.partition };
  }

  async register(status: AgentStatus, signal: AbortSignal): Promise<Lease> {
    // Checks of the same name that an earlier registration left are replaced with their state.
    const params = { ...this.#where, 'replace-existing-checks': 'true' };
    await this.#options.client.register(this.#service(status), params, signal);
    return this.#lease;
  }

  async heartbeat(status: AgentStatus, signal: AbortSignal): Promise<HeartbeatAnswer> {
    const report = { status: STATES[status], output: `the agent is ${status}` };
    try {
      await this.#options.client.report(this.#check, report, this.#where, signal);
      return this.#lease;
    } catch (error) {
      if (isUnknown(error)) return 'unknown';
      throw error;
    }
  }

  async deregister(signal: AbortSignal): Promise<void> {
    try {
      await this.#options.client.deregister(this.#options.agent.id, this.#where, signal);
    } catch (error) {
      if (!isUnknown(error)) throw error;
    }
  }

  dispose(): void {
    this.#options.dispose();
  }

  #service(status: AgentStatus): ConsulService {
    const { agent, ttlMs, deregisterAfterMs } = this.#options;
    const { protocol, hostname, port, pathname } = new URL(agent.address);
    // Consul's are whole numbers above 0.
    const weight = Math.max(1, Math.round(agent.weight));
    return {
      ID: agent.id,
      Name: agent.service,
      Address: hostname.replace(/^\[|\]$/g, ''),
      Port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port),
      Meta: {
        ...agent.metadata,
        scheme: protocol.slice(0, -1),
        ...(pathname !== '/' && { path: pathname }),
        ...(agent.zone !== undefined && { zone: agent.zone }),
        ...(agent.priority !== 0 && { priority: String(agent.priority) }),
      },
      Weights: { Passing: weight, Warning: weight },
      Check: {
        CheckID: this.#check,
        TTL: `${ttlMs}ms`,
        Status: STATES[status],
        DeregisterCriticalServiceAfter: `${deregisterAfterMs}ms`,
      },
    };
  }
}

/** 404; older versions answer 500 and say it in words. */
const isUnknown = (error: unknown): boolean =>
  error instanceof SourceError && (error.status === 404 || /unknown (check|service)/i.test(error.message));
