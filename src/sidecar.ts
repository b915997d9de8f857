/**
 * The whole sidecar, put together: this is the one place that knows every room. What runs in production is what tests
 * start, on other ports.
 */
import { AdminPlane } from './admin/admin-plane.ts';
import { AgentHost } from './agent/host.ts';
import type { ConfigInput } from './config/load.ts';
import { formatProblems } from './config/problem.ts';
import type { Config } from './config/schema.ts';
import { watchFiles } from './files/watch.ts';
import type { Clock } from './core/clock.ts';
import { systemClock } from './core/clock.ts';
import type { EndpointState } from './core/endpoint.ts';
import { ListenError, prepareAll } from './core/moving-listener.ts';
import type { Prepared } from './core/moving-listener.ts';
import type { Random } from './core/random.ts';
import { systemRandom } from './core/random.ts';
import { ConfigKeys } from './keys/config-keys.ts';
import { isKeyAddress } from './keys/key-address.ts';
import { PlaygroundHost } from './playground/host.ts';
import { RegistryHost } from './registry/host.ts';
import { LocalRegistrar } from './registry/local-registrar.ts';
import { StateKeeper } from './runtime/state-keeper.ts';
import { statisticsOf } from './runtime/statistics.ts';
import { Supervisor } from './runtime/supervisor.ts';
import type { ReloadResult } from './runtime/supervisor.ts';
import type { LiveUpstream } from './runtime/upstream.ts';
import { DataPlane } from './server/data-plane.ts';
import { Bus } from './telemetry/bus.ts';
import { Journal } from './telemetry/journal.ts';
import { Log } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import type { UpstreamState } from './telemetry/states.ts';
import { ConnectionWatch } from './transport/connection-watch.ts';
import { VERSION } from './version.ts';

export interface SidecarOptions {
  readonly input: ConfigInput;
  /** Reload when a file, or a key, of the configuration changes. */
  readonly watch: boolean;
  /** Where log lines go: a file descriptor or a path. Default: 1, standard output. */
  readonly logTo?: number | string;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** The sidecar cannot start; the message says everything that is wrong. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

const RELOAD_DEBOUNCE_MS = 200;

/** What a process that is killed must not have to learn anew. */
const WORTH_WRITING = [
  'breaker-changed',
  'credential-cooling',
  'credential-out',
  'endpoint-ejected',
] as const;

/** States that an operator decides on. Others come and go by the hundred, and are found out again. */
const DECIDED: ReadonlySet<EndpointState> = new Set<EndpointState>(['draining', 'disabled']);

export class Sidecar {
  readonly bus = new Bus();
  readonly supervisor: Supervisor;
  readonly dataPlane: DataPlane;
  readonly journal: Journal;
  readonly metrics: Metrics;
  readonly admin: AdminPlane;
  readonly playground: PlaygroundHost;
  readonly agent: AgentHost;
  /** Resolves with an exit code when recovery wants the process to end with it. */
  readonly exitAsked: Promise<number>;
  readonly registry: RegistryHost;
  readonly log: Log;
  readonly #keys: ConfigKeys;
  readonly #state: StateKeeper;
  readonly #options: SidecarOptions;
  readonly #clock: Clock;
  readonly #connections = new ConnectionWatch();
  #adminAddress: string | undefined;
  #files: ReturnType<typeof watchFiles> | undefined;
  /** Everything is where the configuration wants it; otherwise the next reload tries again, changed or not. */
  #followed = true;
  /** Nothing may come to life any more. */
  #released = false;
  #stopping: Promise<{ readonly brokenOff: number }> | undefined;

  private constructor(options: SidecarOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const random = options.random ?? systemRandom;
    const clock = this.#clock;
    const { emit } = this.bus;
    this.registry = new RegistryHost({ clock, random, emit });
    this.supervisor = new Supervisor(options.input, {
      ...{ clock, random, emit, watch: this.#connections },
      registry: this.registry.catalog,
    });
    this.#keys = new ConfigKeys(options.input, { clock, random, emit });
    this.supervisor.fetch = () => this.#keys.fetch();
    this.dataPlane = new DataPlane({ clock, emit, supervisor: this.supervisor });
    this.supervisor.prepare = (config) => this.#prepare(config);
    this.#state = new StateKeeper({ clock, emit });
    this.supervisor.revive = (config, parts) => this.#revive(config, parts);
    this.playground = new PlaygroundHost({ clock, random, emit });
    const { promise, resolve: exit } = Promise.withResolvers<number>();
    this.exitAsked = promise;
    const registry = new LocalRegistrar(this.registry.catalog, random);
    this.agent = new AgentHost({ clock, random, emit, exit, registry });
    this.journal = new Journal(clock);
    this.metrics = new Metrics(this.bus, this.#states());
    this.admin = new AdminPlane({
      supervisor: this.supervisor,
      metrics: this.metrics,
      journal: this.journal,
      agent: () => this.agent.snapshot,
      status: () => ({
        draining: this.#stopping !== undefined,
        active: this.dataPlane.activeCount,
        tunnels: this.dataPlane.tunnelCount,
      }),
      registry: () => this.registry.view,
      reload: (cause) => this.reload(cause),
    });
    this.log = new Log(clock, options.logTo);
  }

  /** @throws StartError with everything that is wrong with the configuration, or with the address that is not free */
  static async start(options: SidecarOptions): Promise<Sidecar> {
    const sidecar = new Sidecar(options);
    try {
      await sidecar.#start();
    } catch (error) {
      await sidecar.#release();
      throw error instanceof StartError ? error : new StartError((error as Error).message, { cause: error });
    }
    return sidecar;
  }

  /** Reads the configuration again; see {@link Supervisor.reload}. */
  async reload(cause: string): Promise<ReloadResult> {
    if (this.#stopping || this.#released) return this.supervisor.refuse('the sidecar is stopping', cause);
    const result = await this.supervisor.reload(cause);
    this.#files?.update(this.supervisor.files);
    // A listener that made way for one that was refused may not have come back.
    if (!result.applied) this.#followed = false;
    if (!result.applied || this.#released || (!result.changed && this.#followed)) return result;
    try {
      this.#followed = false;
      await this.#configure(this.supervisor.config);
      this.#followed = true;
    } catch (error) {
      if (error instanceof ListenError) return this.supervisor.refuse(error.message, cause);
      this.bus.emit('internal-error', { where: 'reload', error: error as Error });
    }
    return result;
  }

  /** Stops accepting, finishes what is under way up to `server.drainTimeout`, breaks off the rest, flushes the log. */
  stop(): Promise<{ readonly brokenOff: number }> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Ends everything at once, visibly; for tests and for a start that failed. */
  async close(): Promise<void> {
    await this.#release();
  }

  async #start(): Promise<void> {
    this.journal.listen(this.bus);
    // Before the first reading, so that no change falls into a gap.
    if (this.#options.watch)
      this.#files = this.#watchFiles(this.#options.input.files.filter((file) => !isKeyAddress(file)));
    const first = await this.supervisor.reload('start');
    this.#files?.update(this.supervisor.files);
    if (!first.applied) throw new StartError(formatProblems(first.problems, 'text'));
    // What stands there by now is read anew at first, so there is no gap either.
    if (this.#options.watch) this.#keys.follow(() => void this.reload('key'));
    const { config } = this.supervisor;
    this.log.configure(config.logging);
    this.log.listen(this.bus);
    this.#state.start(() => new Map([...this.supervisor.parts, ...this.registry.parts]));
    for (const change of WORTH_WRITING) this.bus.on(change, () => this.#state.writeSoon());
    this.bus.on('endpoint-changed', ({ from, to }) => {
      if (DECIDED.has(from) || DECIDED.has(to)) this.#state.writeSoon();
    });
    await this.admin.listen(config.server.admin);
    await this.#configure(config, true);
    const { hash } = this.supervisor.runtime;
    const addresses = {
      data: this.dataPlane.address(),
      admin: this.admin.address(),
      registry: this.registry.view?.listen,
    };
    this.log.logger.info({ version: VERSION, hash, ...addresses }, 'started');
  }

  /** Everything that follows the configuration and can do so without a new start. */
  async #configure(config: Config, isStart = false): Promise<void> {
    this.#adminAddress ??= config.server.admin;
    if (config.server.admin !== this.#adminAddress)
      this.bus.emit('restart-needed', { setting: 'server.admin' });
    this.#state.configure(config.state);
    this.journal.limit = config.admin.journal;
    this.log.configure(config.logging);
    const followed = await Promise.allSettled([
      this.playground.configure(config.playground),
      this.registry.configure(config.registry, this.supervisor.sharedInstances),
    ]);
    const failed = followed.find(({ status }) => status === 'rejected') as PromiseRejectedResult | undefined;
    // After the registry, in which it may stand. A start that fails registers nobody.
    if (!failed || !isStart) this.agent.configure(config.agent);
    if (failed) throw failed.reason;
  }

  /** Every listener has its address before a configuration comes in force. */
  #prepare(config: Config): Promise<Prepared> {
    return prepareAll([
      () => this.dataPlane.prepare(config),
      () => this.registry.prepare(config.registry),
      () => this.playground.prepare(config.playground),
    ]);
  }

  async #revive(config: Config, parts: ReadonlyMap<string, unknown>): Promise<void> {
    this.registry.limit(config.registry);
    const kept = config.registry ? this.registry.parts : new Map<string, unknown>();
    await this.#state.restore(config.state, new Map([...parts, ...kept]));
  }

  #watchFiles(paths: readonly string[]): ReturnType<typeof watchFiles> {
    return watchFiles({
      paths,
      clock: this.#clock,
      debounceMs: RELOAD_DEBOUNCE_MS,
      onChange: () => void this.reload('file'),
    });
  }

  async #stop(): Promise<{ readonly brokenOff: number }> {
    this.#files?.close();
    this.#keys.dispose();
    // Now already: not every platform waits for the end of the drain.
    void this.#state.write();
    // While all is still served: who asks the registry must find another way before this one is closed.
    await this.agent.drain();
    const drained = await this.dataPlane.drain(this.supervisor.config.server.drainTimeout);
    await this.#state.write();
    await this.#release();
    return drained;
  }

  async #release(): Promise<void> {
    this.#released = true;
    this.supervisor.end();
    this.#files?.close();
    this.#keys.dispose();
    await this.dataPlane.close();
    await this.agent.close();
    await this.#state.release();
    await this.registry.close();
    await Promise.all([this.admin.close(), this.playground.close(), this.supervisor.dispose()]);
    this.#connections.dispose();
    await this.log.settled();
    this.log.close();
  }

  #states(): ConstructorParameters<typeof Metrics>[1] {
    return {
      version: VERSION,
      wallTime: () => this.#clock.wallTime(),
      generation: () => this.supervisor.runtime.generation,
      configHash: () => this.supervisor.runtime.hash,
      tunnels: () => this.dataPlane.tunnelCount,
      replayBytes: () => this.dataPlane.replayBytes,
      configSources: () => this.#keys.states,
      storeIsUp: () => this.supervisor.storeIsUp,
      agent: () => this.agent.snapshot,
      registry: () => this.registry.view,
      upstreams: () => [...this.supervisor.runtime.upstreams.values()].map(stateOf),
    };
  }
}

function stateOf(upstream: LiveUpstream): UpstreamState {
  return {
    name: upstream.name,
    policy: (name) => upstream.policies.get(name)?.snapshot(),
    discovery: upstream.discovery,
    panicking: upstream.endpoints.panicking,
    get saturation() {
      return statisticsOf(upstream).saturation;
    },
    scaling: upstream.scaling?.view,
    endpoints: upstream.endpoints.members.map(({ name, member, connections }) => ({
      name,
      state: member.state,
      active: member.active,
      check: member.check,
      ...connections(),
    })),
  };
}
