/**
 * Owns the configuration in force. A new one is read, validated, compiled and only then put in place; whatever goes
 * wrong on the way, the old one serves on.
 */
import { checkConfig } from '../config/checks.ts';
import { loadConfig } from '../config/load.ts';
import type { ConfigInput, LoadedConfig } from '../config/load.ts';
import { originOf } from '../config/origins.ts';
import type { Problem } from '../config/problem.ts';
import { configSchema } from '../config/schema.ts';
import type { Config } from '../config/schema.ts';
import { Cancellation } from '../core/cancellation.ts';
import type { Recipient } from '../core/policy.ts';
import type { SharedInstances } from '../core/shared-instances.ts';
import { Discovered } from '../discovery/discovered.ts';
import { RedisConnection } from '../stores/redis/connection.ts';
import { EndpointTransport } from '../transport/endpoint-transport.ts';
import { CompileError, compileUpstreams } from './compile.ts';
import type { CompileDeps } from './compile.ts';
import { Inventory } from './inventory.ts';
import { isDisposable, retire } from './retire.ts';
import { LiveStores } from './live-stores.ts';
import { Runtime } from './runtime.ts';
import { firstLists } from './sources.ts';
import type { LiveUpstream } from './upstream.ts';

declare module '../core/events.ts' {
  interface EventMap {
    'config-applied': {
      readonly generation: number;
      readonly hash: string;
      readonly upstreams: number;
      readonly cause: string;
    };
    'config-rejected': { readonly problems: readonly Problem[]; readonly cause: string };
  }
}

export interface ReloadResult {
  readonly applied: boolean;
  /** False when what was read is what is in force already. */
  readonly changed: boolean;
  readonly generation: number;
  readonly problems: readonly Problem[];
}

/** Gives the parts of the first configuration, by name, what earlier processes have learnt. */
export type Revive = (config: Config, parts: ReadonlyMap<string, unknown>) => Promise<void>;

/** Brings the world outside the runtime (listeners) in line before a configuration is put in force. */
export type Prepare = (config: Config) => Promise<{ commit(): void; abort(): void }>;

/** Brings what stands under those layers of the configuration that are no files. Never rejects. */
export type Fetch = () => Promise<NonNullable<ConfigInput['fetched']>>;

export interface SupervisorDeps extends Omit<CompileDeps, 'recipient' | 'stores' | 'sharedIn'> {
  /** Brings configurations to life without contacting anybody, to see whether that can be done. */
  readonly offline?: boolean;
}

export class Supervisor {
  readonly #input: ConfigInput;
  readonly #deps: SupervisorDeps;
  #prepare: Prepare = () => Promise.resolve({ commit: () => undefined, abort: () => undefined });
  #revive: Revive = () => Promise.resolve();
  #fetch: Fetch | undefined;
  #runtime: Runtime | undefined;
  #loaded: LoadedConfig<Config> | undefined;
  #inventory: Inventory | undefined;
  #stores: LiveStores | undefined;
  #lastProblems: readonly Problem[] = [];
  #files: readonly string[] = [];
  #reloads: Promise<unknown> = Promise.resolve();
  readonly #ended = new Cancellation();

  constructor(input: ConfigInput, deps: SupervisorDeps) {
    this.#input = input;
    this.#deps = deps;
  }

  set prepare(prepare: Prepare) {
    this.#prepare = prepare;
  }

  set revive(revive: Revive) {
    this.#revive = revive;
  }

  set fetch(fetch: Fetch) {
    this.#fetch = fetch;
  }

  /** Everything that lives from one configuration to the next, by name. */
  get parts(): ReadonlyMap<string, unknown> {
    return this.#inventory?.values ?? new Map();
  }

  get runtime(): Runtime {
    if (!this.#runtime) throw new Error('no configuration is in force yet');
    return this.#runtime;
  }

  get loaded(): LoadedConfig<Config> {
    if (!this.#loaded) throw new Error('no configuration is in force yet');
    return this.#loaded;
  }

  get config(): Config {
    return this.loaded.config;
  }

  /** Whether Redis is there; undefined where sidecars share nothing. */
  get storeIsUp(): boolean | undefined {
    return this.#stores?.redis?.up;
  }

  /** Where registries share their instances; undefined where sidecars share nothing. */
  get sharedInstances(): SharedInstances | undefined {
    return this.#stores?.instances;
  }

  /** What was wrong with the newest configuration that was read; empty when it is the one in force. */
  get lastProblems(): readonly Problem[] {
    return this.#lastProblems;
  }

  /** Every file that the newest configuration was read from. */
  get files(): readonly string[] {
    return this.#files;
  }

  /** Reads and applies the configuration. One at a time, in the order of the calls. Never rejects. */
  reload(cause: string): Promise<ReloadResult> {
    const turn = this.#reloads.then(() => this.#reload(cause));
    this.#reloads = turn;
    return turn;
  }

  /** A reload that was asked for at the wrong time. */
  refuse(message: string, cause: string): ReloadResult {
    const nowhere = { file: '', line: 0, column: 0, path: '' };
    return this.#reject([{ ...nowhere, message, severity: 'error' }], cause);
  }

  /** From now on no configuration comes in force, not even one whose reload is under way. */
  end(): void {
    this.#ended.cancel('shutdown');
  }

  /** Closes all connections to upstreams and to Redis, and ends what policies do in the background. */
  async dispose(): Promise<void> {
    this.end();
    this.#runtime?.retire();
    const parts = new Inventory(this.#inventory).dropped();
    for (const part of parts) if (isDisposable(part)) part.dispose();
    const transports = parts.filter((part) => part instanceof EndpointTransport);
    await Promise.all(transports.map((transport) => transport.destroy()));
  }

  async #reload(cause: string): Promise<ReloadResult> {
    const fetched = await this.#fetch?.();
    const result = loadConfig(configSchema, { ...this.#input, ...(fetched && { fetched }) }, checkConfig);
    this.#files = result.ok ? result.loaded.files : result.files;
    if (!result.ok) return this.#reject(result.problems, cause);
    if (this.#loaded?.hash === result.loaded.hash) return this.#unchanged();
    try {
      return await this.#apply(result.loaded, cause);
    } catch (error) {
      return this.#reject([problemOf(error as Error, result.loaded)], cause);
    }
  }

  async #apply(loaded: LoadedConfig<Config>, cause: string): Promise<ReloadResult> {
    const inventory = new Inventory(this.#inventory);
    try {
      return await this.#bringToLife(loaded, inventory, cause);
    } catch (error) {
      closeUnused(inventory.added());
      this.#runtime?.insist();
      throw error;
    }
  }

  async #bringToLife(
    loaded: LoadedConfig<Config>,
    inventory: Inventory,
    cause: string,
  ): Promise<ReloadResult> {
    const live = new LiveStores(loaded.config.state, inventory, this.#deps);
    const recipient = (name: string): Recipient | undefined => this.#runtime?.upstreams.get(name);
    const stores: CompileDeps['stores'] = (shared) => live.for(shared);
    const sharedIn = live.description;
    const deps = { ...this.#deps, recipient, stores, sharedIn };
    const upstreams = compileUpstreams(loaded.config, inventory, deps);
    if (this.#deps.offline !== true) await live.open();
    // Before anybody can call.
    if (!this.#runtime) await this.#revive(loaded.config, inventory.values);
    if (this.#deps.offline !== true) await this.#findEndpoints(upstreams, loaded.config);
    this.#goOn();
    const outside = await this.#prepare(loaded.config);
    if (this.#ended.cancelled) outside.abort();
    this.#goOn();
    const generation = (this.#runtime?.generation ?? 0) + 1;
    this.#runtime?.retire();
    this.#runtime = new Runtime({ generation, hash: loaded.hash, upstreams });
    if (this.#deps.offline !== true) this.#runtime.takeOver();
    this.#loaded = loaded;
    this.#inventory = inventory;
    this.#stores = live;
    this.#lastProblems = [];
    outside.commit();
    retire(inventory.dropped());
    this.#deps.emit('config-applied', { generation, hash: loaded.hash, upstreams: upstreams.size, cause });
    return { applied: true, changed: true, generation, problems: [] };
  }

  /** What comes to life after the end would be left running by whoever ended everything. */
  #goOn(): void {
    if (this.#ended.cancelled) throw new Error('the sidecar is stopping');
  }

  /** @throws CompileError where an upstream that has endpoints would have none: its source may have been misspelt */
  async #findEndpoints(
    upstreams: ReadonlyMap<string, LiveUpstream>,
    { upstreams: configs }: Config,
  ): Promise<void> {
    const { clock } = this.#deps;
    const without = await firstLists(upstreams.values(), configs, { clock, ended: this.#ended });
    for (const [name, why] of without) {
      const before = this.#runtime?.upstreams.get(name);
      if (before && before.endpoints.members.length > 0)
        throw new CompileError(['upstreams', name, 'discovery'], `no endpoints were found: ${why}`);
    }
  }

  #unchanged(): ReloadResult {
    this.#lastProblems = [];
    return { applied: true, changed: false, generation: this.runtime.generation, problems: [] };
  }

  #reject(problems: readonly Problem[], cause: string): ReloadResult {
    this.#lastProblems = problems;
    this.#deps.emit('config-rejected', { problems, cause });
    return { applied: false, changed: false, generation: this.#runtime?.generation ?? 0, problems };
  }
}

/** What was begun for a configuration that does not come in force. */
function closeUnused(parts: readonly unknown[]): void {
  for (const part of parts) if (part instanceof RedisConnection || part instanceof Discovered) part.dispose();
}

function problemOf(error: Error, loaded: LoadedConfig<Config>): Problem {
  const path = error instanceof CompileError ? error.path : [];
  const origin = originOf(loaded, path);
  const at = origin.kind === 'file' ? origin : { file: '', line: 0, column: 0 };
  return {
    file: at.file,
    line: at.line,
    column: at.column,
    path: path.join('.'),
    message: error.message,
    severity: 'error',
  };
}
