/**
 * One connection to Redis, through the official client: the only place that knows it. It is loaded when the first
 * connection is made, for most sidecars need none. It neither reconnects nor queues: who holds it decides what then.
 */
import { locationOf } from '../../schema/redis.ts';
import type { RedisOptions } from '../../schema/redis.ts';

/** As Redis sends it; bulk strings as bytes where a command asks for that. */
export type Reply = string | number | Buffer | null | readonly Reply[];

/** What is used of the library. */
interface Library {
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
  sendCommand(args: readonly (string | Buffer)[], options: object): Promise<Reply>;
}

/** Reads the library; the first time takes as long as the disk and the processor need. */
export const loadLibrary = () => import('@redis/client');

export class RedisClient {
  /** Digests of scripts that were sent over this connection. */
  readonly told = new Set<string>();
  readonly #options: RedisOptions;
  #library: Library | undefined;
  #asBytes: object = {};
  #destroyed = false;

  constructor(options: RedisOptions) {
    this.#options = options;
  }

  /**
   * Rejects where the connection, TLS, authentication or the choice of the database fail. May take longer than
   * `connectTimeout`; `destroy` ends it.
   *
   * @param onLost called when the connection, once established, is lost; perhaps more than once
   */
  async connect(onLost: (error: Error) => void): Promise<void> {
    const { createClient, RESP_TYPES } = await loadLibrary();
    if (this.#destroyed) throw new Error('closed');
    const library = createClient(settingsOf(this.#options)) as unknown as Library;
    this.#library = library;
    this.#asBytes = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
    let established = false;
    library.on('error', (error) => {
      if (established && !this.#destroyed) onLost(error);
    });
    await library.connect();
    // Destroyed before there was a socket to destroy, it has one now.
    if (this.#destroyed) {
      library.destroy();
      throw new Error('closed');
    }
    established = true;
  }

  /** Rejects at once when there is no connection, and when it is lost before the reply. */
  command(args: readonly (string | Buffer)[], binary = false): Promise<Reply> {
    if (!this.#library) return Promise.reject(new Error('closed'));
    return this.#library.sendCommand(args, binary ? this.#asBytes : {});
  }

  /** Ends the connection at once; commands under way reject. May be called again. */
  destroy(): void {
    this.#destroyed = true;
    this.#library?.destroy();
  }
}

/** Protocol 2, no greetings of the client's own: what every server and every user's rights allow. */
function settingsOf({ url, username, password, connectTimeout, tls }: RedisOptions): object {
  const location = locationOf(url);
  if (!location) throw new Error('no URL of a Redis server');
  const { address, database } = location;
  const bounds = { connectTimeout, reconnectStrategy: false };
  const socket =
    address.kind === 'socket'
      ? { ...bounds, path: address.path }
      : { ...bounds, host: address.host, port: address.port, ...(address.secure && tlsSettings(tls)) };
  return {
    RESP: 2,
    socket,
    database,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    // It has no bound of its own: whoever asks has.
    commandOptions: { timeout: undefined },
  };
}

const tlsSettings = ({ caFile, certFile, keyFile, serverName }: RedisOptions['tls']): object => ({
  tls: true,
  ...(caFile && { ca: caFile.bytes }),
  ...(certFile && { cert: certFile.bytes }),
  ...(keyFile && { key: keyFile.bytes }),
  ...(serverName !== undefined && { servername: serverName }),
});
