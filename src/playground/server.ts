/**
 * The playground: a provider that speaks the OpenAI API on a real socket and fails as configured, so that everything
 * else can be tried offline. Here are its listener and its end; what it answers is in provider.ts.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { ListenError } from '../core/moving-listener.ts';
import type { Listening } from '../core/moving-listener.ts';
import { seededRandom } from '../core/random.ts';
import type { Random } from '../core/random.ts';
import { PlaygroundExchange } from './exchange.ts';
import { Provider } from './provider.ts';
import { targetOf } from './routes.ts';
import type { PlaygroundOptions } from './schema.ts';
import { StatsCounter } from './stats.ts';
import type { PlaygroundStats } from './stats.ts';
import { sendJson } from './write.ts';

/** Long enough that a client's pool, not the playground, decides when an idle connection ends. */
const KEEP_ALIVE_MS = 60_000;

export interface PlaygroundAddress {
  /** The address it is bound to. */
  readonly host: string;
  /** The real port, also where port 0 was asked for. */
  readonly port: number;
  /** `http://host:port` for a client on this machine, without a slash at the end. */
  readonly url: string;
}

export interface Playground extends Listening<PlaygroundOptions> {
  readonly address: PlaygroundAddress;
  stats(): PlaygroundStats;
  /**
   * Takes over all of them but `listen`, for requests that arrive from now on. The place in a seeded sequence is kept, unless
   * there is another seed.
   */
  adjust(options: PlaygroundOptions): void;
  /** Destroys every connection and resolves when nothing is left: no socket, no timer. May be called again. */
  close(): Promise<void>;
}

export interface PlaygroundDeps {
  readonly clock: Clock;
  /** Makes ids distinct and, where the options have no seed, decides faults and latencies. */
  readonly random: Random;
}

/** Resolves when it listens. @throws ListenError with the system's code where it cannot, such as `EADDRINUSE` */
export async function startPlayground(options: PlaygroundOptions, deps: PlaygroundDeps): Promise<Playground> {
  const playground = new PlaygroundServer(options, deps);
  await playground.listen(options.listen);
  return playground;
}

class PlaygroundServer implements Playground {
  #address: PlaygroundAddress = { host: '', port: 0, url: '' };
  #arrivals = 0;
  #closed: Promise<void> | undefined;
  readonly #clock: Clock;
  readonly #idPrefix: string;
  readonly #stats = new StatsCounter();
  readonly #sockets = new Set<Socket>();
  readonly #open = new Set<PlaygroundExchange>();
  readonly #random: Random;
  #seed: number | undefined;
  /** What decides faults and latencies. */
  #sequence: Random;
  #provider: Provider;
  readonly #server: Server;

  constructor(options: PlaygroundOptions, { clock, random }: PlaygroundDeps) {
    this.#clock = clock;
    this.#random = random;
    this.#seed = options.seed;
    this.#sequence = this.#sequenceOf(options);
    this.#idPrefix = hex(random.next() * 2 ** 32);
    this.#provider = this.#providerOf(options);
    this.#server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
      void this.#accept(request, response);
    });
    this.#server.on('connection', (socket) => {
      this.#track(socket);
    });
  }

  get address(): PlaygroundAddress {
    return this.#address;
  }

  async listen(address: string): Promise<void> {
    const colon = address.lastIndexOf(':');
    const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
    this.#server.listen({ port: Number(address.slice(colon + 1)), host: host === '*' ? '::' : host });
    try {
      await once(this.#server, 'listening');
    } catch (error) {
      throw new ListenError(address, 'playground.listen', error as NodeJS.ErrnoException);
    }
    // A failed accept (no file descriptors left) is reported here; the next connection may fare better.
    this.#server.on('error', () => {});
    const { address: bound, port } = this.#server.address() as AddressInfo;
    this.#address = { host: bound, port, url: `http://${reachable(bound)}:${port}` };
  }

  stats(): PlaygroundStats {
    return this.#stats.snapshot(this.#sockets.size);
  }

  adjust(options: PlaygroundOptions): void {
    if (options.seed !== this.#seed) {
      this.#seed = options.seed;
      this.#sequence = this.#sequenceOf(options);
    }
    this.#provider = this.#providerOf(options);
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeNow();
    return this.#closed;
  }

  async #closeNow(): Promise<void> {
    for (const exchange of [...this.#open]) exchange.interrupt();
    // The server reports its own end before those of its sockets.
    const ends = [this.#server, ...this.#sockets].map(
      (closing) => new Promise<void>((resolve) => void closing.once('close', () => resolve())),
    );
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(ends);
  }

  #sequenceOf({ seed }: PlaygroundOptions): Random {
    return seed === undefined ? this.#random : seededRandom(seed);
  }

  #providerOf(options: PlaygroundOptions): Provider {
    return new Provider(options, { clock: this.#clock, random: this.#sequence, stats: this.#stats });
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      // A pipelined request whose turn has not come hears of the end only here.
      for (const exchange of [...this.#open])
        if (exchange.request.socket === socket) exchange.connectionClosed();
    });
  }

  async #accept(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = targetOf(request.method ?? '', request.url ?? '');
    if (target.kind === 'page') {
      sendJson(response, target.body);
      return;
    }
    const exchange = this.#openExchange(request, response);
    try {
      if (target.kind === 'refusal') this.#provider.refuse(exchange, target.error);
      else await this.#provider.answer(exchange, target.operation);
    } catch {
      // A mistake of ours must not end the process that the playground is embedded in.
      exchange.breakOff('close');
    }
  }

  #openExchange(request: IncomingMessage, response: ServerResponse): PlaygroundExchange {
    this.#arrivals += 1;
    this.#stats.requestSeen();
    const arrival = { id: this.#idPrefix + hex(this.#arrivals), arrivedAt: this.#clock.now() };
    const exchange = new PlaygroundExchange({ request, response }, arrival, (ending) => {
      this.#open.delete(exchange);
      this.#stats.requestEnded(ending, exchange.streamed);
    });
    this.#open.add(exchange);
    return exchange;
  }
}

const hex = (value: number): string => Math.floor(value).toString(16).padStart(8, '0');

/** A host for a URL: wildcard addresses are reached over loopback. */
function reachable(bound: string): string {
  if (bound === '0.0.0.0' || bound === '::') return '127.0.0.1';
  return bound.includes(':') ? `[${bound}]` : bound;
}
