/**
 * The one listener of a section of the configuration (registry, playground), through all its changes: what another address
 * needs is opened before a configuration comes in force, and nobody who uses the old one notices anything before.
 */

/** A change that can be made. */
export interface Prepared {
  commit(): void;
  abort(): void;
}

/** An address that cannot be had. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  /** The system's, such as `EADDRINUSE`. */
  readonly code: string | undefined;

  /** @param option where the address stands in the configuration */
  constructor(address: string, option: string, cause: NodeJS.ErrnoException) {
    const why = cause.code === 'EADDRINUSE' ? 'the address is in use' : cause.message;
    super(`cannot listen on ${address} (${option}): ${why}`, { cause });
    this.code = cause.code;
  }
}

/** A server that listens. */
export interface Listening<Options> {
  readonly address: { readonly host: string; readonly port: number };
  /** Takes over what can be changed in place. */
  adjust(options: Options): void;
  /** May be called again. */
  close(): Promise<void>;
}

export interface ListenerKind<Options, Server> {
  /** @throws ListenError */
  readonly open: (options: Options) => Promise<Server>;
  /** Whether a server that was opened for the one can go on with the other. */
  readonly staysAt: (before: Options, after: Options) => boolean;
  /** What else follows the options; called at each commit. */
  readonly committed?: (options: Options | undefined, before: Options | undefined) => void;
  /** The old listener had to make way for one that did not come, and could not come back. The next change tries anew. */
  readonly lost: (error: Error) => void;
}

interface Running<Options, Server> {
  readonly server: Server;
  readonly options: Options;
}

export class MovingListener<Options extends { readonly listen: string }, Server extends Listening<Options>> {
  readonly #kind: ListenerKind<Options, Server>;
  #running: Running<Options, Server> | undefined;
  #changed: Promise<void> = Promise.resolve();
  /** The end of servers that were. */
  #leaving: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(kind: ListenerKind<Options, Server>) {
    this.#kind = kind;
  }

  /** Undefined while the configuration asks for none. */
  get server(): Server | undefined {
    return this.#running?.server;
  }

  get options(): Options | undefined {
    return this.#running?.options;
  }

  /** Opens what these options need. Rejects when the address cannot be had: the old server then goes on as it was. */
  prepare(options: Options | undefined): Promise<Prepared> {
    return this.#inTurn(() => this.#prepare(options));
  }

  /**
   * Prepares, where that did not come before, and commits. Resolves when servers that were are closed.
   * @param afterwards a part of the change: no other comes between
   */
  configure(options: Options | undefined, afterwards?: () => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      (await this.#prepare(options)).commit();
      await afterwards?.();
      await this.#leaving;
    });
  }

  /** For good. */
  close(afterwards?: () => Promise<void>): Promise<void> {
    this.#closed = true;
    return this.configure(undefined, afterwards);
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

  async #prepare(options: Options | undefined): Promise<Prepared> {
    const old = this.#running;
    if (!options || (old && this.#kind.staysAt(old.options, options)))
      return { commit: () => this.#commit(options, old?.server), abort: () => {} };
    const isSamePort = old && portOf(options.listen) === old.server.address.port;
    const opened = isSamePort ? await this.#moveOnPort(options, old) : await this.#kind.open(options);
    return {
      commit: () => this.#commit(options, opened),
      abort: () => void this.#inTurn(() => this.#takeBack(opened, isSamePort ? old : undefined)),
    };
  }

  #commit(options: Options | undefined, server: Server | undefined): void {
    const old = this.#running;
    this.#running = options && server && { server, options };
    if (options) server?.adjust(options);
    if (old && old.server !== this.#running?.server)
      this.#leaving = Promise.all([this.#leaving, old.server.close()]);
    this.#kind.committed?.(options, old?.options);
  }

  /** One port on another of this machine's addresses: some systems give it only when the old one is gone. */
  async #moveOnPort(options: Options, old: Running<Options, Server>): Promise<Server> {
    await old.server.close();
    try {
      return await this.#kind.open(options);
    } catch (error) {
      await this.#reopen(old);
      throw error;
    }
  }

  async #takeBack(opened: Server, old: Running<Options, Server> | undefined): Promise<void> {
    await opened.close();
    if (old && !this.#closed) await this.#reopen(old);
  }

  async #reopen({ options, server: { address } }: Running<Options, Server>): Promise<void> {
    const { host, port } = address;
    // Where any port was asked for, it is this one that clients know.
    const listen = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    try {
      this.#running = { server: await this.#kind.open({ ...options, listen }), options };
    } catch (error) {
      this.#running = undefined;
      this.#kind.lost(error as Error);
    }
  }
}

/** Makes all changes ready, one after the other, or none of them. */
export async function prepareAll(steps: readonly (() => Promise<Prepared>)[]): Promise<Prepared> {
  const ready: Prepared[] = [];
  const abort = (): void => {
    for (const one of ready) one.abort();
  };
  try {
    for (const step of steps) ready.push(await step());
  } catch (error) {
    abort();
    throw error;
  }
  return {
    commit: () => {
      for (const one of ready) one.commit();
    },
    abort,
  };
}

const portOf = (listen: string): number => Number(listen.slice(listen.lastIndexOf(':') + 1));
