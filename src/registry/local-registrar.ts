/** Keeps an instance registered in the registry of its own process. */
import type { Random } from '../core/random.ts';
import type { InstanceRegistrar, InstanceReport, InstanceStatus, Lease } from '../core/registry.ts';
import type { Catalog } from './catalog.ts';
import { leaseFor } from './lease.ts';
import { readRegistration } from './read-registration.ts';

export class LocalRegistrar implements InstanceRegistrar {
  readonly #catalog: Catalog;
  readonly #random: Random;

  constructor(catalog: Catalog, random: Random) {
    this.#catalog = catalog;
    this.#random = random;
  }

  /** Rejects as over HTTP it would be refused: where something is wrong with the report, or there is no place. */
  async register({ service, id, ...body }: InstanceReport): Promise<Lease> {
    const { ttl: defaultTtlMs, maxMetadata } = this.#catalog.limits;
    const read = readRegistration({ service, id, body, defaultTtlMs, maxMetadata });
    if (!read.ok) {
      const { where, expected, got } = read.misfit;
      throw new Error(`${where}: expected ${expected}, got ${got}`);
    }
    const result = this.#catalog.register(read.value);
    if (!result.ok) throw new Error(`the registry is full (registry.${result.limit})`);
    return leaseFor(result.instance.ttlMs, this.#random);
  }

  async heartbeat(
    service: string,
    id: string,
    said?: { readonly status?: InstanceStatus; readonly weight?: number },
  ): Promise<Lease | 'unknown'> {
    const instance = this.#catalog.heartbeat(service, id, said);
    return instance ? leaseFor(instance.ttlMs, this.#random) : 'unknown';
  }

  async deregister(service: string, id: string): Promise<boolean> {
    return this.#catalog.deregister(service, id) !== undefined;
  }
}
