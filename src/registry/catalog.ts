/**
 * Who is there: the instances of all services, their leases, and what changed. It asks nobody and waits for nothing; the
 * instants of its clock and the calls of its owner are all that moves it.
 */
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Instants, Persistent, PersistentState } from '../core/persistence.ts';
import type {
  Instance,
  InstanceChange,
  InstanceDirectory,
  InstanceStatus,
  Registration,
} from '../core/registry.ts';
import type { RegistryLimits } from '../schema/registry.ts';
import { ChangeRing } from './change-ring.ts';
import { instanceOf, isSame } from './instance.ts';
import type { Leaving } from './events.ts';
import { captureEntries, readSaved } from './saved.ts';
import { Refusals } from './refusals.ts';
import type { FullLimit } from './refusals.ts';
import { Service } from './service.ts';
import type { Entry } from './service.ts';

/** Changes that somebody who follows may be behind. */
const RING = 4_096;

export interface CatalogDeps {
  readonly clock: Clock;
  readonly emit: Emit;
}

export type Registered =
  | { readonly ok: true; readonly created: boolean; readonly instance: Instance }
  /** There is no place left. */
  | { readonly ok: false; readonly limit: FullLimit };

/** What came from the instances themselves, for registries that share. */
export type Told = 'put' | 'beat' | 'delete';

/** Where a change was decided. */
type Decided = Pick<Instance, 'here'>;

const HERE: Decided = { here: true };

export class Catalog implements InstanceDirectory, Persistent {
  /** Tells the revisions of this catalog from those of one before a restart. */
  readonly epoch: string;
  /** Hears what instances told this registry; for one that shares. */
  outlet: ((told: Told, service: string, id: string) => void) | undefined;
  readonly #deps: CatalogDeps;
  readonly #services = new Map<string, Service>();
  readonly #ring = new ChangeRing(RING);
  readonly #listeners = new Set<() => void>();
  readonly #since: number;
  readonly #refusals: Refusals;
  #limits: RegistryLimits;
  #size = 0;
  #told = false;

  constructor(limits: RegistryLimits, deps: CatalogDeps) {
    this.#limits = limits;
    this.#deps = deps;
    this.#since = deps.clock.now();
    this.#refusals = new Refusals(deps);
    this.epoch = deps.clock.wallMs().toString(36);
  }

  get limits(): RegistryLimits {
    return this.#limits;
  }

  /** Lower limits make nobody leave; they hold for whoever comes. */
  set limits(limits: RegistryLimits) {
    this.#limits = limits;
  }

  /** Instances of all services. */
  get size(): number {
    return this.#size;
  }

  /** Of the newest change; 0 before the first. */
  get revision(): number {
    return this.#ring.newest;
  }

  /** By name. */
  get services(): readonly Service[] {
    return [...this.#services.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  service(name: string): Service | undefined {
    return this.#services.get(name);
  }

  entry(service: string, id: string): Entry | undefined {
    return this.#services.get(service)?.entries.get(id);
  }

  instancesOf(service: string): readonly Instance[] {
    const found = this.#services.get(service);
    return found?.ids.flatMap((id) => found.entries.get(id)?.instance ?? []) ?? [];
  }

  get settlesInMs(): number {
    return Math.max(0, this.#since + this.#limits.ttl - this.#deps.clock.now());
  }

  /** See {@link ChangeRing.after}. */
  changesAfter(revision: number, most: number): readonly InstanceChange[] | undefined {
    return this.#ring.after(revision, most);
  }

  /** Called after changes, once for several, never during one. @returns takes the listener away */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Takes an instance in, or renews its lease; what it says replaces all that it said before. */
  register(said: Registration): Registered {
    const placed = this.#place(said, HERE);
    if (typeof placed === 'string') return { ok: false, limit: placed };
    const { entry, created } = placed;
    this.#beat(entry);
    this.outlet?.('put', said.service, said.id);
    return { ok: true, created, instance: entry.instance };
  }

  /** @returns undefined where there is no such instance: it must register anew */
  heartbeat(
    service: string,
    id: string,
    said: { readonly status?: InstanceStatus; readonly weight?: number } = {},
  ): Instance | undefined {
    const entry = this.entry(service, id);
    this.#deps.emit('instance-heartbeat', { service, result: entry ? 'known' : 'unknown' });
    if (!entry) return undefined;
    const { reported, weight } = entry.instance;
    const next = { reported: said.status ?? reported, weight: said.weight ?? weight };
    const differs = next.reported !== reported || next.weight !== weight;
    this.#count(service, 'heartbeats');
    this.#beat(entry);
    this.#change(entry, { ...entry.instance, ...next, expired: false }, HERE);
    this.outlet?.(differs ? 'put' : 'beat', service, id);
    return entry.instance;
  }

  /** @returns the instance as it was; undefined where there was none */
  deregister(service: string, id: string): Instance | undefined {
    const entry = this.entry(service, id);
    if (!entry) return undefined;
    this.#count(service, 'deregistrations');
    this.#remove(entry, 'deregistered', HERE);
    this.outlet?.('delete', service, id);
    return entry.instance;
  }

  /**
   * Marks as down who was not heard within its lease, and forgets who was down for the retention.
   *
   * @param isOurs whose leases are this registry's to watch. Default: all.
   */
  sweep(isOurs: (entry: Entry) => boolean = () => true): void {
    this.#refusals.sweep();
    const now = this.#deps.clock.now();
    for (const service of [...this.#services.values()]) {
      for (const entry of [...service.entries.values()]) {
        const { expiredAt, expiresAt, instance } = entry;
        if (expiredAt === undefined) {
          if (expiresAt <= now && isOurs(entry)) this.#expire(entry, HERE);
        } else if (now - expiredAt >= this.#limits.retention)
          this.#remove(entry, 'expired', { here: instance.here });
      }
      const { emptySince } = service;
      if (emptySince !== undefined && now - emptySince >= this.#limits.retention)
        this.#services.delete(service.name);
    }
  }

  /** Nobody could be heard for so long: it does not count. */
  extend(ms: number): void {
    for (const { entries } of this.#services.values())
      for (const entry of entries.values()) if (entry.expiredAt === undefined) entry.expiresAt += ms;
  }

  /** What another registry heard, or this one itself and hears again. @returns false where there is no place */
  accept(said: Registration, expired: boolean, decided: Decided = { here: false }): boolean {
    const known = this.entry(said.service, said.id);
    if (expired) {
      if (known && known.expiredAt === undefined) this.#expire(known, decided);
      return true;
    }
    if (known && isSame(known.instance, instanceOf(said, known.instance))) return true;
    const placed = this.#place(said, decided);
    if (typeof placed === 'string') return false;
    this.#beat(placed.entry);
    return true;
  }

  /** Another registry lost it. */
  forget(service: string, id: string, reason: Leaving): void {
    const entry = this.entry(service, id);
    if (entry) this.#remove(entry, reason, { here: false });
  }

  capture(instants: Instants): PersistentState | undefined {
    return captureEntries(
      this.services.map(({ entries }) => entries),
      instants,
    );
  }

  /** They come back with what is left of their leases and a whole one more: none of them could be heard meanwhile. */
  restore(saved: unknown, instants: Instants): boolean {
    const { retention } = this.#limits;
    const found = readSaved(saved, { now: this.#deps.clock.now(), instants, retention });
    if (!found) return false;
    for (const { said, here, lease } of found) {
      if (this.entry(said.service, said.id)) continue;
      if (this.#lackingFor(said.service) !== undefined) break;
      const entry = this.#add(said, { here });
      Object.assign(entry, lease);
      if (lease.expiredAt !== undefined)
        this.#replace(entry, { ...entry.instance, expired: true }, 'expired');
    }
    return true;
  }

  #place(said: Registration, decided: Decided): { entry: Entry; created: boolean } | FullLimit {
    const known = this.entry(said.service, said.id);
    if (known) {
      this.#change(known, instanceOf(said, known.instance), decided);
      return { entry: known, created: false };
    }
    this.#makeRoom(said.service);
    const { service, id, url, status } = said;
    const limit = this.#lackingFor(service);
    if (limit !== undefined) {
      this.#refusals.add(limit, service);
      return limit;
    }
    const entry = this.#add(said, decided);
    if (decided.here) this.#count(service, 'registrations');
    this.#deps.emit('instance-registered', { service, instance: id, ...decided, url, status });
    return { entry, created: true };
  }

  #add(said: Registration, { here }: Decided): Entry {
    const now = this.#deps.clock.now();
    const service = this.#services.get(said.service) ?? new Service(said.service, now);
    this.#services.set(said.service, service);
    const instance: Instance = {
      ...{ ...said, here, reported: said.status, expired: false },
      ...{ registeredAt: now, revision: this.#ring.newest + 1 },
    };
    const entry: Entry = { instance, beatAt: now, expiresAt: now + said.ttlMs, expiredAt: undefined };
    service.add(entry);
    this.#size += 1;
    this.#ring.add({ revision: instance.revision, kind: 'registered', instance });
    this.#tell();
    return entry;
  }

  #lackingFor(service: string): FullLimit | undefined {
    if (!this.#services.has(service) && this.#services.size >= this.#limits.maxServices) return 'maxServices';
    return this.#size >= this.#limits.maxInstances ? 'maxInstances' : undefined;
  }

  /** Services without anybody alive, and instances whose lease ran out, give up their places where those are needed. */
  #makeRoom(service: string): void {
    if (this.#lackingFor(service) === 'maxServices') {
      const idle = [...this.#services.values()].find(({ isIdle }) => isIdle);
      for (const entry of [...(idle?.entries.values() ?? [])]) this.#remove(entry, 'evicted', HERE);
      if (idle) this.#services.delete(idle.name);
    }
    if (this.#lackingFor(service) !== 'maxInstances') return;
    const longestGone = this.#longestGone();
    if (longestGone) this.#remove(longestGone, 'evicted', HERE);
  }

  #longestGone(): Entry | undefined {
    let found: Entry | undefined;
    for (const { entries } of this.#services.values())
      for (const entry of entries.values())
        if (entry.expiredAt !== undefined && entry.expiredAt < (found?.expiredAt ?? Number.POSITIVE_INFINITY))
          found = entry;
    return found;
  }

  #beat(entry: Entry): void {
    const now = this.#deps.clock.now();
    entry.beatAt = now;
    entry.expiresAt = now + entry.instance.ttlMs;
  }

  /** Alive, whatever it was. */
  #change(entry: Entry, next: Instance, decided: Decided): void {
    const { service, id, status: from } = entry.instance;
    entry.expiredAt = undefined;
    if (isSame(entry.instance, next)) {
      if (entry.instance.here !== decided.here) entry.instance = { ...entry.instance, here: decided.here };
      return;
    }
    this.#replace(entry, { ...next, here: decided.here }, 'changed');
    const to = entry.instance.status;
    this.#deps.emit('instance-changed', { service, instance: id, ...decided, from, to });
  }

  #expire(entry: Entry, decided: Decided): void {
    const { service, id } = entry.instance;
    const now = this.#deps.clock.now();
    entry.expiredAt = now;
    if (decided.here) this.#count(service, 'expiries');
    this.#replace(entry, { ...entry.instance, expired: true }, 'expired');
    const silentMs = Math.round(now - entry.beatAt);
    this.#deps.emit('instance-expired', { service, instance: id, ...decided, silentMs });
  }

  #count(service: string, what: keyof Service['counts']): void {
    const counts = this.#services.get(service)?.counts;
    if (counts) counts[what] += 1;
  }

  #replace(entry: Entry, next: Instance, kind: InstanceChange['kind']): void {
    const revision = this.#ring.newest + 1;
    entry.instance = { ...next, status: next.expired ? 'down' : next.reported, revision };
    this.#ring.add({ revision, kind, instance: entry.instance });
    this.#tell();
  }

  #remove({ instance }: Entry, reason: Leaving, decided: Decided): void {
    const { service, id } = instance;
    this.#services.get(service)?.remove(id, this.#deps.clock.now());
    this.#size -= 1;
    this.#ring.add({ revision: this.#ring.newest + 1, kind: 'left', instance });
    this.#deps.emit('instance-left', { service, instance: id, ...decided, reason });
    this.#tell();
  }

  #tell(): void {
    if (this.#told || this.#listeners.size === 0) return;
    this.#told = true;
    queueMicrotask(() => {
      this.#told = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }
}
