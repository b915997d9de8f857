/**
 * The registry of this process. Its catalog is always there, so that whoever looks something up need not know whether the
 * configuration asks for a registry; listener, sweep and sharing are there while it does.
 */
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import type { RegistryView } from '../core/registry.ts';
import type { SharedInstances } from '../core/shared-instances.ts';
import { registrySchema } from '../schema/registry.ts';
import type { RegistryOptions } from '../schema/registry.ts';
import { Catalog } from './catalog.ts';
import { startRegistryServer } from './server.ts';
import type { RegistryServer } from './server.ts';
import { Sharing } from './sharing.ts';

/** Sweeps come up to this share earlier, so that registries that share do not sweep in step. */
const JITTER_RATIO = 0.1;
/** A sweep that comes so late tells of a process that was stopped, or a machine that slept or has no time for it. */
const STALL_MS = 500;

export interface RegistryHostDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

interface Running {
  readonly server: RegistryServer;
  readonly options: RegistryOptions;
}

/** A change that can be made. */
export interface Prepared {
  commit(): void;
  abort(): void;
}

export class RegistryHost {
  readonly catalog: Catalog;
  readonly #deps: RegistryHostDeps;
  #running: Running | undefined;
  #sharing: { readonly sharing: Sharing; readonly through: SharedInstances } | undefined;
  #sweepTimer: TimerHandle | undefined;
  #changed: Promise<void> = Promise.resolve();
  /** The end of listeners that were. */
  #leaving: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(deps: RegistryHostDeps) {
    this.#deps = deps;
    this.catalog = new Catalog(registrySchema.parse({}), deps);
  }

  /** What outlives the process, by name; to be restored before `configure`. */
  get parts(): ReadonlyMap<string, unknown> {
    return new Map([['registry', this.catalog]]);
  }

  /** Undefined where the configuration asks for none. */
  get view(): RegistryView | undefined {
    if (!this.#running) return undefined;
    const { server } = this.#running;
    const now = this.#deps.clock.now();
    const shared = this.#sharing?.sharing;
    return {
      listen: server.address,
      instances: this.catalog.size,
      watchers: server.watchers,
      revision: this.catalog.revision,
      sharing: shared ? (shared.up ? 'up' : 'away') : 'off',
      services: this.catalog.services.map((service) => service.statistics(now)),
    };
  }

  /** Limits that a restored catalog is measured by. */
  limit(options: RegistryOptions | undefined): void {
    if (options) this.catalog.limits = options;
  }

  /**
   * Opens what another `listen`, or TLS where there was none, needs. Whoever asks the registry notices nothing before
   * `commit`. Rejects when the address cannot be had: the old listener then goes on as it was.
   */
  prepare(options: RegistryOptions | undefined): Promise<Prepared> {
    return this.#inTurn(() => this.#prepare(options));
  }

  /**
   * Listener, bounds, sweep and sharing are as these options say; instances stay in any case. Rejects as `prepare` does, where
   * that did not come before.
   *
   * @param through what sidecars share; undefined: nothing
   */
  configure(options: RegistryOptions | undefined, through?: SharedInstances): Promise<void> {
    return this.#inTurn(async () => {
      (await this.#prepare(options)).commit();
      await this.#share(options?.shared ? through : undefined);
      await this.#leaving;
    });
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.configure(undefined);
  }

  /** One reload may follow another at once. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const changing = this.#changed.then(change);
    this.#changed = changing.then(
      () => {},
      () => {},
    );
    return changing;
  }

  async #prepare(options: RegistryOptions | undefined): Promise<Prepared> {
    const old = this.#running;
    if (!options || (old && staysAt(old.options, options)))
      return { commit: () => this.#commit(options, old?.server), abort: () => {} };
    const isSamePort = old && portOf(options.listen) === old.server.address.port;
    const opened = isSamePort ? await this.#moveOnPort(options, old) : await this.#listen(options);
    return {
      commit: () => this.#commit(options, opened),
      abort: () => void this.#inTurn(() => this.#takeBack(opened, isSamePort ? old : undefined)),
    };
  }

  #commit(options: RegistryOptions | undefined, server: RegistryServer | undefined): void {
    const old = this.#running;
    this.#running = options && server && { server, options };
    if (options) {
      this.#running?.server.adjust(options);
      this.catalog.limits = options;
    }
    if (old && old.server !== this.#running?.server)
      this.#leaving = Promise.all([this.#leaving, old.server.close()]);
    if (old?.options.sweepInterval !== options?.sweepInterval) this.#armSweep();
  }

  /** One port on another of this machine's addresses: some systems give it only when the old one is gone. */
  async #moveOnPort(options: RegistryOptions, old: Running): Promise<RegistryServer> {
    await old.server.close();
    try {
      return await this.#listen(options);
    } catch (error) {
      await this.#reopen(old);
      throw error;
    }
  }

  async #takeBack(opened: RegistryServer, old: Running | undefined): Promise<void> {
    await opened.close();
    if (old && !this.#closed) await this.#reopen(old);
  }

  async #reopen({ options, server: { address } }: Running): Promise<void> {
    const { host, port } = address;
    // Where any port was asked for, it is this one that clients know.
    const listen = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    this.#running = { server: await this.#listen({ ...options, listen }), options };
  }

  #listen(options: RegistryOptions): Promise<RegistryServer> {
    return startRegistryServer(options, { ...this.#deps, catalog: this.catalog });
  }

  async #share(through: SharedInstances | undefined): Promise<void> {
    if (this.#sharing?.through === through) return;
    const before = this.#sharing?.sharing;
    this.#sharing = through && { through, sharing: new Sharing(through, this.catalog, this.#deps) };
    await before?.stop();
    this.#sharing?.sharing.start();
  }

  #armSweep(): void {
    const { clock, random } = this.#deps;
    if (this.#sweepTimer) clock.clearTimer(this.#sweepTimer);
    this.#sweepTimer = undefined;
    if (!this.#running) return;
    const ms = this.#running.options.sweepInterval * (1 - JITTER_RATIO * random.next());
    const dueAt = clock.now() + ms;
    this.#sweepTimer = clock.setBackgroundTimer(ms, () => {
      this.#sweep(clock.now() - dueAt);
      this.#armSweep();
    });
  }

  /** @param lateMs so long this process stood still: whoever spoke meanwhile is yet to be heard */
  #sweep(lateMs: number): void {
    const sharing = this.#sharing?.sharing;
    if (lateMs >= STALL_MS) this.catalog.extend(lateMs);
    this.catalog.sweep(sharing && ((entry) => sharing.isOurs(entry)));
  }
}

/** It can go on with the listener that there is. */
const staysAt = (a: RegistryOptions, b: RegistryOptions): boolean =>
  a.listen === b.listen && (a.tls === undefined) === (b.tls === undefined);

const portOf = (listen: string): number => Number(listen.slice(listen.lastIndexOf(':') + 1));
