/** The instances of one service, and what has become of those before. */
import type { Instance, ServiceStatistics } from '../core/registry.ts';

/** An instance and what changes too often to be a part of it. */
export interface Entry {
  instance: Instance;
  /** Last sign of life. */
  beatAt: number;
  /** The lease runs out. */
  expiresAt: number;
  /** It ran out then; undefined while it runs. */
  expiredAt: number | undefined;
}

export class Service {
  readonly name: string;
  readonly entries = new Map<string, Entry>();
  readonly since: number;
  readonly counts = { registrations: 0, deregistrations: 0, heartbeats: 0, expiries: 0 };
  /** The last instance left then; undefined while there are some. */
  emptySince: number | undefined;
  #ids: readonly string[] | undefined;

  constructor(name: string, now: number) {
    this.name = name;
    this.since = now;
  }

  /** Sorted, so that a list can go on where the last page ended, whatever came and went. */
  get ids(): readonly string[] {
    this.#ids ??= [...this.entries.keys()].sort();
    return this.#ids;
  }

  /** Nobody is here whose lease still runs. */
  get isIdle(): boolean {
    for (const { expiredAt } of this.entries.values()) if (expiredAt === undefined) return false;
    return true;
  }

  add(entry: Entry): void {
    this.entries.set(entry.instance.id, entry);
    this.emptySince = undefined;
    this.#ids = undefined;
  }

  remove(id: string, now: number): void {
    this.entries.delete(id);
    if (this.entries.size === 0) this.emptySince = now;
    this.#ids = undefined;
  }

  statistics(now: number): ServiceStatistics {
    const byStatus = { up: 0, starting: 0, degraded: 0, stopping: 0, down: 0 };
    for (const { instance } of this.entries.values()) byStatus[instance.status] += 1;
    return {
      service: this.name,
      instances: this.entries.size,
      byStatus,
      ...this.counts,
      ageMs: Math.round(now - this.since),
    };
  }
}
