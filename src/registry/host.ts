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

export class RegistryHost {
  readonly catalog: Catalog;
  readonly #deps: RegistryHostDeps;
  #options: RegistryOptions | undefined;
  #running: { readonly server: RegistryServer; readonly fixed: string } | undefined;
  #sharing: { readonly sharing: Sharing; readonly through: SharedInstances } | undefined;
  #sweepTimer: TimerHandle | undefined;

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
   * Rejects when the address is not free. Address, token and bounds of the listener take a new listener; all else changes in
   * place, and instances stay in any case.
   *
   * @param through what sidecars share; undefined: nothing
   */
  async configure(options: RegistryOptions | undefined, through?: SharedInstances): Promise<void> {
    if (!options) return this.close();
    this.catalog.limits = options;
    this.#options = options;
    this.#share(options.shared ? through : undefined);
    const { listen, token, maxWatchers, maxInstances, sweepInterval } = options;
    const fixed = JSON.stringify({ listen, token, maxWatchers, maxInstances, sweepInterval });
    if (this.#running?.fixed === fixed) return;
    await this.#stopListening();
    this.#running = {
      server: await startRegistryServer(options, { ...this.#deps, catalog: this.catalog }),
      fixed,
    };
    this.#armSweep();
  }

  async close(): Promise<void> {
    this.#options = undefined;
    this.#share(undefined);
    if (this.#sweepTimer) this.#deps.clock.clearTimer(this.#sweepTimer);
    this.#sweepTimer = undefined;
    await this.#stopListening();
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
    if (!this.#options) return;
    const ms = this.#options.sweepInterval * (1 - JITTER_RATIO * random.next());
    this.#sweepTimer = clock.setBackgroundTimer(ms, () => {
      const sharing = this.#sharing?.sharing;
      this.catalog.sweep(sharing && ((entry) => sharing.isOurs(entry)));
      this.#armSweep();
    });
  }
}
