/** All listeners of the data plane, kept in line with the configuration. */
import type { Config } from '../config/schema.ts';
import { Cancellation } from '../core/cancellation.ts';
import { sleep } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Supervisor } from '../runtime/supervisor.ts';
import { splitAddress } from './address.ts';
import type { AdmitSettings } from './admit.ts';
import { ExchangeHandler } from './exchange-handler.ts';
import type { Entrance } from './exchange-handler.ts';
import { newPseudonym } from './identity.ts';
import { Listener } from './listener.ts';
import type { ListenerOptions } from './listener.ts';
import { ReplayMemory } from './request-body.ts';
import { UploadWatch } from './upload-watch.ts';

declare module '../core/events.ts' {
  interface EventMap {
    'drain-started': { readonly active: number; readonly timeoutMs: number };
    /** `brokenOff`: exchanges that did not finish in time. */
    'drain-ended': { readonly brokenOff: number };
    /** A setting changed that takes effect only at the next start. */
    'restart-needed': { readonly setting: string };
  }
}

export interface DataPlaneDeps {
  readonly clock: Clock;
  readonly emit: Emit;
  readonly supervisor: Supervisor;
}

interface Open {
  readonly listener: Listener;
  /** As configured; port 0 stands for whichever port was given then. */
  readonly address: string;
  readonly port: number;
  readonly host: string;
}

interface Wanted {
  readonly entrance: Entrance;
  readonly options: ListenerOptions;
  readonly address: string;
}

/** The shared listener's name among the others, which are named after their upstreams. */
const SHARED = '';
/** Time for a broken-off answer's last bytes to leave. */
const LAST_BYTES_MS = 500;

export class DataPlane {
  readonly #deps: DataPlaneDeps;
  readonly #memory = new ReplayMemory();
  readonly #handler: ExchangeHandler;
  /** Used where the configuration gives no name. */
  readonly #ownName = newPseudonym();
  #settings: AdmitSettings = { pseudonym: this.#ownName, agentHeader: '', maxBodyBytes: 0, bodyIdleMs: 0 };
  #open = new Map<string, Open>();

  constructor(deps: DataPlaneDeps) {
    this.#deps = deps;
    const { clock, emit, supervisor } = deps;
    this.#handler = new ExchangeHandler({
      clock,
      emit,
      memory: this.#memory,
      uploads: new UploadWatch(clock),
      runtime: () => supervisor.runtime,
      settings: () => this.#settings,
    });
  }

  get activeCount(): number {
    return this.#handler.activeCount;
  }

  get tunnelCount(): number {
    return [...this.#open.values()].reduce((sum, { listener }) => sum + listener.tunnelCount, 0);
  }

  get replayBytes(): number {
    return this.#memory.usedBytes;
  }

  /** `host:port` of the shared listener, or of an upstream's own. */
  address(upstream = SHARED): { readonly host: string; readonly port: number } | undefined {
    const open = this.#open.get(upstream);
    return open && { host: open.host, port: open.port };
  }

  /**
   * Opens what the configuration adds. Nothing that is in use changes before `commit`.
   * Rejects, with everything as it was, when an address cannot be had.
   */
  async prepare(config: Config): Promise<{ commit(): void; abort(): void }> {
    const wanted = wantedListeners(config);
    const opened = new Map<string, Open>();
    try {
      for (const [name, one] of wanted) {
        if (this.#open.get(name)?.address !== one.address) opened.set(name, await this.#openListener(one));
      }
    } catch (error) {
      closeAll(opened.values());
      throw error;
    }
    const commit = (): void => {
      this.#memory.limitBytes = config.server.replayMemory;
      this.#settings = admitSettings(config, this.#ownName);
      this.#commit(wanted, opened);
    };
    return { commit, abort: () => closeAll(opened.values()) };
  }

  /** Stops accepting, waits for what is under way up to `timeoutMs`, then breaks off the rest. Resolves when all is closed. */
  async drain(timeoutMs: number): Promise<{ readonly brokenOff: number }> {
    const { emit } = this.#deps;
    emit('drain-started', { active: this.activeCount, timeoutMs });
    for (const { listener } of this.#open.values()) listener.stopAccepting();
    await this.#idleWithin(timeoutMs);
    const brokenOff = this.activeCount;
    await this.close();
    emit('drain-ended', { brokenOff });
    return { brokenOff };
  }

  /** Breaks off everything, visibly, and closes all listeners. */
  async close(): Promise<void> {
    this.#handler.cancelAll();
    // What was written before the break is still on its way to the clients.
    await this.#idleWithin(LAST_BYTES_MS);
    await Promise.all([...this.#open.values()].map(({ listener }) => listener.close()));
  }

  async #idleWithin(ms: number): Promise<void> {
    const { clock } = this.#deps;
    const waited = new Cancellation();
    await Promise.race([this.#handler.idle(), sleep(clock, ms, waited)]);
    waited.cancel('shutdown');
  }

  async #openListener({ entrance, options, address }: Wanted): Promise<Open> {
    const listener = new Listener(entrance, options, {
      handler: this.#handler,
      clock: this.#deps.clock,
      emit: this.#deps.emit,
      pseudonym: () => this.#settings.pseudonym,
    });
    try {
      return { listener, address, host: options.host, port: await listener.listen() };
    } catch (error) {
      await listener.close();
      throw listenError(error as NodeJS.ErrnoException, options, entrance);
    }
  }

  #commit(wanted: ReadonlyMap<string, Wanted>, opened: ReadonlyMap<string, Open>): void {
    const before = this.#open;
    const late = new Set<string>();
    this.#open = new Map();
    for (const [name, { options }] of wanted) {
      const open = opened.get(name) ?? before.get(name);
      if (!open) continue;
      this.#open.set(name, open);
      if (!opened.has(name)) for (const setting of open.listener.update(options)) late.add(setting);
    }
    for (const setting of late) this.#deps.emit('restart-needed', { setting: `server.${setting}` });
    // Connections to a listener that is gone are served to their end.
    for (const [name, { listener }] of before)
      if (this.#open.get(name)?.listener !== listener) listener.stopAccepting();
  }
}

function closeAll(listeners: Iterable<Open>): void {
  for (const { listener } of listeners) void listener.close();
}

const admitSettings = ({ server }: Config, ownName: string): AdmitSettings => ({
  pseudonym: server.name ?? ownName,
  agentHeader: server.agentHeader.toLowerCase(),
  maxBodyBytes: server.maxRequestBody,
  bodyIdleMs: server.bodyTimeout,
});

function wantedListeners(config: Config): Map<string, Wanted> {
  const wanted = new Map([[SHARED, wantedAt(config, config.server.listen, undefined)]]);
  for (const [name, { listen }] of Object.entries(config.upstreams)) {
    if (listen !== undefined) wanted.set(name, wantedAt(config, listen, name));
  }
  return wanted;
}

function wantedAt({ server }: Config, address: string, dedicatedTo: string | undefined): Wanted {
  const options: ListenerOptions = {
    ...splitAddress(address),
    maxHeaderBytes: server.maxHeaderSize,
    headersTimeoutMs: server.headersTimeout,
    keepAliveMs: server.keepAlive,
    maxConnections: server.maxConnections,
    tls: server.tls && { cert: server.tls.certFile.bytes, key: server.tls.keyFile.bytes },
  };
  return { entrance: { dedicatedTo }, options, address };
}

function listenError(
  error: NodeJS.ErrnoException,
  { host, port }: ListenerOptions,
  { dedicatedTo }: Entrance,
): Error {
  const what = dedicatedTo === undefined ? 'server.listen' : `upstreams.${dedicatedTo}.listen`;
  const why = error.code === 'EADDRINUSE' ? 'the address is in use' : error.message;
  return new Error(`cannot listen on ${host}:${port} (${what}): ${why}`);
}
