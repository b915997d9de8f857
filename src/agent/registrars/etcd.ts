/**
 * Enters the agent in etcd: a key that hangs on a lease, whose value tells how the agent is. The lease is renewed by every sign
 * of life; when it has run out, etcd has dropped the key with it.
 */
import type { AgentIdentity, AgentStatus } from '../../core/agent.ts';
import type { ReportedStatus } from '../../core/endpoint.ts';
import type { EtcdClient } from '../../discovery/etcd-client.ts';
import type { Lease } from '../../core/registry.ts';
import { leaseOf } from '../registrar.ts';
import type { HeartbeatAnswer, Registrar } from '../registrar.ts';

export interface EtcdRegistrarOptions {
  readonly client: EtcdClient;
  readonly urls: readonly string[];
  readonly prefix: string;
  readonly agent: AgentIdentity;
  readonly ttlMs: number;
  readonly dispose: () => void;
}

export class EtcdRegistrar implements Registrar {
  readonly name: string;
  readonly #options: EtcdRegistrarOptions;
  readonly #key: string;
  #lease: string | undefined;
  #told: AgentStatus | undefined;

  constructor(options: EtcdRegistrarOptions) {
    this.#options = options;
    const { urls, prefix, agent } = options;
    this.name = `etcd ${urls.join(', ')}`;
    this.#key = `${prefix}${prefix.endsWith('/') ? '' : '/'}${agent.service}/${agent.id}`;
  }

  async register(status: AgentStatus, signal: AbortSignal): Promise<Lease> {
    const { client, ttlMs } = this.#options;
    // A lease whose key could not be put is used again, so that a half-broken etcd does not collect them.
    const kept = this.#lease !== undefined && (await client.keepAlive(this.#lease, signal));
    if (!kept) this.#lease = await client.grant(Math.ceil(ttlMs / 1_000), signal);
    await this.#put(status, signal);
    return leaseOf(ttlMs);
  }

  async heartbeat(status: AgentStatus, signal: AbortSignal): Promise<HeartbeatAnswer> {
    const { client, ttlMs } = this.#options;
    if (this.#lease === undefined || !(await client.keepAlive(this.#lease, signal))) {
      this.#lease = undefined;
      return 'unknown';
    }
    if (status !== this.#told) await this.#put(status, signal);
    return leaseOf(ttlMs);
  }

  async deregister(signal: AbortSignal): Promise<void> {
    const lease = this.#lease;
    this.#lease = undefined;
    // The key goes with its lease.
    if (lease !== undefined) await this.#options.client.revoke(lease, signal);
    else await this.#options.client.delete({ key: this.#key, prefix: false }, signal);
  }

  dispose(): void {
    this.#options.dispose();
  }

  async #put(status: AgentStatus, signal: AbortSignal): Promise<void> {
    const how = { lease: this.#lease, signal };
    await this.#options.client.put(this.#key, this.#value(status), how);
    this.#told = status;
  }

  #value(status: AgentStatus): string {
    const { id: instance, address: url, weight, priority, zone, metadata } = this.#options.agent;
    const how: ReportedStatus = status === 'stopping' ? 'draining' : status;
    return JSON.stringify({ url, instance, weight, priority, zone, metadata, status: how });
  }
}
