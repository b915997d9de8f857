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

export interface RegistryHostDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

interface Running {
  readonly server: RegistryServer;
  readonly options: RegistryOptions;
}

export class RegistryHost {
  readonly catalog: Catalog;
  readonly #deps: RegistryHostDeps;
  #options: RegistryOptions | undefined;
  #running: Running | undefined;
  #sharing: { readonly sharing: Sharing; readonly through: SharedInstances } | undefined;
  #sweepTimer: TimerHandle | undefined;
  /** The end of the last change: one reload may follow another at once. */
  #changed: Promise<void> = Promise.resolve();

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

  /** Limits that a restored catalog is measured by; contacts nobody and opens nothing. */
  prepare(options: RegistryOptions | undefined): void {
    if (options) this.catalog.limits = options;
  }

  /**
   * Another `listen` takes a new listener; it is there before the old one goes. All else changes in place, and instances stay
   * in any case. Rejects when the address is not free: the old listener then goes on as it was.
   *
   * @param through what sidecars share; undefined: nothing
   */
  configure(options: RegistryOptions | undefined, through?: SharedInstances): Promise<void> {
    const changing = this.#changed.then(() => this.#follow(options, through));
    this.#changed = changing.catch(() => {});
    return changing;
  }

  close(): Promise<void> {
    return this.configure(undefined);
  }

  async #follow(options: RegistryOptions | undefined, through?: SharedInstances): Promise<void> {
    const before = this.#options;
    this.#options = options;
    this.#share(options?.shared ? through : undefined);
    if (options) this.catalog.limits = options;
    if (before?.sweepInterval !== options?.sweepInterval) this.#armSweep();
    if (!options) await this.#stopListening();
    else if (this.#running?.options.listen === options.listen) this.#adjust(this.#running.server, options);
    else await this.#move(options);
  }

  #adjust(server: RegistryServer, options: RegistryOptions): void {
    server.adjust(options);
    this.#running = { server, options };
  }

  /** Nothing of the new options holds at the old address, where perhaps nobody would need a token by them. */
  async #move(options: RegistryOptions): Promise<void> {
    const old = this.#running;
    if (old && portOf(options.listen) === old.server.address.port) return this.#moveOnPort(options, old);
    const server = await this.#listen(options);
    this.#running = { server, options };
    await old?.server.close();
  }

  /** One port on another of this machine's addresses: some systems give it only when the old one is gone. */
  async #moveOnPort(options: RegistryOptions, old: Running): Promise<void> {
    const { host, port } = old.server.address;
    await this.#stopListening();
    try {
      this.#running = { server: await this.#listen(options), options };
    } catch (error) {
      // Where any port was asked for, it is this one that clients know.
      const listen = `${host.includes(':') ? `[${host}]` : host}:${port}`;
      const server = await this.#listen({ ...old.options, listen });
      this.#running = { server, options: old.options };
      throw error;
    }
  }

  #listen(options: RegistryOptions): Promise<RegistryServer> {
    return startRegistryServer(options, { ...this.#deps, catalog: this.catalog });
  }

  async #stopListening(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.server.close();
  }

  #share(through: SharedInstances | undefined): void {
    if (this.#sharing?.through === through) return;
    this.#sharing?.sharing.stop();
    this.#sharing = through && { through, sharing: new Sharing(through, this.catalog, this.#deps) };
    this.#sharing?.sharing.start();
  }

  #armSweep(): void {
    const { clock, random } = this.#deps;
    if (this.#sweepTimer) clock.clearTimer(this.#sweepTimer);
    this.#sweepTimer = undefined;
    if (!this.#options) return;
    const ms = this.#options.sweepInterval * (1 - JITTER_RATIO * random.next());
    this.#sweepTimer = clock.setBackgroundTimer(ms, () => {
      const sharing = this.#sharing?.sharing;
      this.catalog.sweep(sharing && ((entry) => sharing.isOurs(entry)));
      this.#armSweep();
    });
  }
}

const portOf = (listen: string): number => Number(listen.slice(listen.lastIndexOf(':') + 1));
