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
  #draining = false;

  constructor(deps: DataPlaneDeps) {
    this.#deps = deps;
    const { clock, emit, supervisor } = deps;
    this.#handler = new ExchangeHandler({
      clock,
      emit,
      memory: this.#memory,
      uploads: new UploadWatch(clock),
      draining: () => this.#draining,
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
    if (this.#draining) throw new Error('the sidecar is stopping');
    const wanted = wantedListeners(config);
    const listeners = new Map<string, Open>();
    const opened: Open[] = [];
    try {
      for (const [name, one] of wanted) {
        const open = this.#openAt(name, one.address) ?? (await this.#openListener(one));
        listeners.set(name, open);
        if (!this.#isOpen(open)) opened.push(open);
      }
    } catch (error) {
      closeAll(opened);
      throw error;
    }
    if (this.#draining) {
      closeAll(opened);
      throw new Error('the sidecar is stopping');
    }
    const commit = (): void => {
      this.#memory.limitBytes = config.server.replayMemory;
      this.#settings = admitSettings(config, this.#ownName);
      this.#commit(wanted, listeners);
    };
    return { commit, abort: () => closeAll(opened) };
  }

  /** The listener at this address, whoever had it: upstreams are renamed, and swap their ports. */
  #openAt(name: string, address: string): Open | undefined {
    const own = this.#open.get(name);
    if (own?.address === address) return own;
    // Port 0 is another port each time.
    if (address.endsWith(':0')) return undefined;
    return [...this.#open.values()].find((open) => open.address === address);
  }

  #isOpen(open: Open): boolean {
    return [...this.#open.values()].includes(open);
  }

  /** Stops accepting, waits for what is under way up to `timeoutMs`, then breaks off the rest. Resolves when all is closed. */
  async drain(timeoutMs: number): Promise<{ readonly brokenOff: number }> {
    const { emit } = this.#deps;
    this.#draining = true;
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
      const ours = [...this.#open.values()].some(({ port }) => port === options.port);
      throw listenError(error as NodeJS.ErrnoException, { options, entrance, ours });
    }
  }

  #commit(wanted: ReadonlyMap<string, Wanted>, listeners: Map<string, Open>): void {
    const before = new Set([...this.#open.values()].map(({ listener }) => listener));
    const late = new Set<string>();
    this.#open = listeners;
    for (const [name, { listener }] of listeners) {
      const one = wanted.get(name);
      if (one && before.delete(listener))
        for (const setting of listener.update(one.entrance, one.options)) late.add(setting);
    }
    for (const setting of late) this.#deps.emit('restart-needed', { setting: `server.${setting}` });
    // Connections to a listener that is gone are served to their end.
    for (const listener of before) listener.stopAccepting();
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

/** @param about.ours another listener of this sidecar has the port, such as `127.0.0.1:p` when `0.0.0.0:p` is wanted */
function listenError(
  error: NodeJS.ErrnoException,
  { options, entrance, ours }: { options: ListenerOptions; entrance: Entrance; ours: boolean },
): Error {
  const { dedicatedTo } = entrance;
  const what = dedicatedTo === undefined ? 'server.listen' : `upstreams.${dedicatedTo}.listen`;
  const inUse = ours
    ? 'the port is in use by this sidecar itself; such a change needs a new start'
    : 'the address is in use';
  const why = error.code === 'EADDRINUSE' ? inUse : error.message;
  return new Error(`cannot listen on ${options.host}:${options.port} (${what}): ${why}`);
}
