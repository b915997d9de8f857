/**
 * The registry of this process. Its catalog is always there, so that whoever looks something up need not know whether the
 * configuration asks for a registry; listener, sweep and sharing are there while it does.
 */
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import { MovingListener } from '../core/moving-listener.ts';
import type { Prepared } from '../core/moving-listener.ts';
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

export class RegistryHost {
  readonly catalog: Catalog;
  readonly #deps: RegistryHostDeps;
  readonly #listener: MovingListener<RegistryOptions, RegistryServer>;
  #sharing: { readonly sharing: Sharing; readonly through: SharedInstances } | undefined;
  #sweepTimer: TimerHandle | undefined;

  constructor(deps: RegistryHostDeps) {
    this.#deps = deps;
    this.catalog = new Catalog(registrySchema.parse({}), deps);
    this.#listener = new MovingListener({
      staysAt,
      open: (options) => startRegistryServer(options, { ...deps, catalog: this.catalog }),
      committed: (options, before) => this.#follow(options, before),
      lost: (error) => deps.emit('internal-error', { where: 'registry.listen', error }),
    });
  }

  /** What outlives the process, by name; to be restored before `configure`. */
  get parts(): ReadonlyMap<string, unknown> {
    return new Map([['registry', this.catalog]]);
  }

  /** Undefined where the configuration asks for none. */
  get view(): RegistryView | undefined {
    const { server } = this.#listener;
    if (!server) return undefined;
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
    return this.#listener.prepare(options);
  }

  /**
   * Listener, bounds, sweep and sharing are as these options say; instances stay in any case. Rejects as `prepare` does, where
   * that did not come before.
   *
   * @param through what sidecars share; undefined: nothing
   */
  configure(options: RegistryOptions | undefined, through?: SharedInstances): Promise<void> {
    return this.#listener.configure(options, () => this.#share(options?.shared ? through : undefined));
  }

  close(): Promise<void> {
    return this.#listener.close(() => this.#share(undefined));
  }

  #follow(options: RegistryOptions | undefined, before: RegistryOptions | undefined): void {
    if (options) this.catalog.limits = options;
    if (before?.sweepInterval !== options?.sweepInterval) this.#armSweep();
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
    const { options } = this.#listener;
    if (!options) return;
    const ms = options.sweepInterval * (1 - JITTER_RATIO * random.next());
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
