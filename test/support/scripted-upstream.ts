/**
 * An HTTP/1.1 upstream on raw sockets that does exactly what its script says, right or wrong, and records all it saw.
 * Everything ambiguous in a request is refused with 400 and listed in `malformed`.
 */
import type { Socket } from 'node:net';
import type { WaitOptions } from './conditions.ts';
import { serverTlsOptions, type UpstreamTls } from './tls/identities.ts';
import { UpstreamConnection, type ConnectionHost } from './upstream/connection.ts';
import { Journal, type Abort, type Gauge, type MalformedRequest } from './upstream/journal.ts';
import { Listener } from './upstream/listener.ts';
import type { RecordedRequest } from './upstream/recorded-request.ts';
import { toSource, type Script, type StepSource } from './upstream/step.ts';
import type { PeerSocket } from './wire/peer.ts';

export interface UpstreamOptions {
  /** TLS with one of the test identities. Default: plain HTTP. */
  readonly tls?: UpstreamTls;
  /** A client's FIN after a complete request does not count as an abort, and is answered. Default false; not with TLS. */
  readonly tolerateHalfClose?: boolean;
}

/** A listening upstream on 127.0.0.1. Dispose it; that throws what the script threw. */
export async function scriptedUpstream(
  script: Script,
  options: UpstreamOptions = {},
): Promise<ScriptedUpstream> {
  const upstream = new ScriptedUpstream(script, options);
  await upstream.restart();
  return upstream;
}

export class ScriptedUpstream {
  readonly #journal = new Journal();
  readonly #listener: Listener;
  readonly #options: UpstreamOptions;
  readonly #open = new Set<UpstreamConnection>();
  readonly #numbers = new WeakMap<Socket, number>();
  #source: StepSource;
  #paused = false;

  constructor(script: Script, options: UpstreamOptions) {
    this.#source = toSource(script);
    this.#options = options;
    const tls = options.tls && serverTlsOptions(options.tls);
    this.#listener = new Listener(
      { accepted: (tcp) => this.#accepted(tcp), ready: (sockets) => this.#ready(sockets) },
      tls,
    );
  }

  get port(): number {
    return this.#listener.port;
  }

  /** `http://127.0.0.1:port`, or `https:` with TLS. */
  get origin(): string {
    return `${this.#options.tls ? 'https' : 'http'}://127.0.0.1:${this.port}`;
  }

  /** Every request whose head arrived, in order. */
  get requests(): readonly RecordedRequest[] {
    return this.#journal.requests;
  }

  /** TCP connections; those that an accept step took count too. */
  get connections(): Readonly<Gauge> {
    return this.#journal.connections;
  }

  /** Requests that are being read or answered; `peak` is the concurrency that was reached. */
  get exchanges(): Readonly<Gauge> {
    return this.#journal.exchanges;
  }

  /** Clients that left before their answer ended. */
  get aborts(): readonly Abort[] {
    return this.#journal.aborts;
  }

  get malformed(): readonly MalformedRequest[] {
    return this.#journal.malformed;
  }

  /** Replaces the script, for requests from now on: an outage that begins, or ends. */
  play(script: Script): void {
    this.#source = toSource(script);
  }

  /** The `n`-th request (from 1), once its body is complete or cut. */
  waitForRequest(n = 1, options?: WaitOptions): Promise<RecordedRequest> {
    const probe = (): RecordedRequest | undefined => {
      const request = this.requests[n - 1];
      return request?.upload === 'open' ? undefined : request;
    };
    return this.#journal.waitFor(probe, `the end of request ${n}`, options);
  }

  /** The `n`-th request (from 1), as soon as its head is there. Its body may still be arriving. */
  waitForRequestHead(n = 1, options?: WaitOptions): Promise<RecordedRequest> {
    return this.#journal.waitFor(() => this.requests[n - 1], `the head of request ${n}`, options);
  }

  /** The `n`-th abort (from 1). */
  waitForAbort(n = 1, options?: WaitOptions): Promise<Abort> {
    return this.#journal.waitFor(() => this.aborts[n - 1], `abort ${n}`, options);
  }

  /** Until no request is being read or answered, which is so before the first one too. Connections may stay open. */
  waitForIdle(options?: WaitOptions): Promise<void> {
    return this.waitUntil(() => this.exchanges.open === 0, 'no request in progress', options);
  }

  /** Until exactly `count` connections are open. */
  waitForOpenConnections(count: number, options?: WaitOptions): Promise<void> {
    return this.waitUntil(() => this.connections.open === count, `${count} open connections`, options);
  }

  /** Until `holds` returns true; it is asked again whenever anything happens here. */
  waitUntil(holds: () => boolean, wanted: string, options?: WaitOptions): Promise<void> {
    return this.#journal.waitUntil(holds, wanted, options);
  }

  /** Stops reading on all connections, present and future. Endings are not noticed meanwhile. */
  pause(): void {
    this.#paused = true;
    for (const connection of this.#open) connection.peer.pause();
  }

  resume(): void {
    this.#paused = false;
    for (const connection of this.#open) connection.peer.resume();
  }

  /** New connections are refused; open ones live on. */
  stopListening(): void {
    this.#listener.stop();
  }

  /** Dies as a crashed process does: no listener, and every connection reset. `restart` brings it back. */
  async kill(): Promise<void> {
    this.#listener.stop();
    this.#listener.resetAll();
    await this.#listener.close();
  }

  /** Listens again on the same port, with the script where it stood. */
  restart(): Promise<void> {
    return this.#listener.listen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener.close();
    this.#journal.close();
    const [error] = this.#journal.scriptErrors;
    if (error !== undefined) throw new Error('the upstream script failed', { cause: error });
  }

  #accepted(tcp: Socket): boolean {
    const { connections } = this.#journal;
    connections.increase();
    this.#numbers.set(tcp, connections.opened);
    tcp.once('close', () => {
      connections.decrease();
      this.#journal.changed();
    });
    this.#journal.changed();
    const step = this.#source.onAccept(connections.opened);
    step?.run(tcp);
    return step !== undefined;
  }

  #ready(sockets: PeerSocket): void {
    const connection = new UpstreamConnection(this.#numbers.get(sockets.tcp) ?? 0, sockets, this.#host());
    this.#open.add(connection);
    void connection.peer.closed.then(() => this.#open.delete(connection));
    if (this.#paused) connection.peer.pause();
  }

  #host(): ConnectionHost {
    const journal = this.#journal;
    return {
      tolerateHalfClose: this.#options.tolerateHalfClose ?? false,
      recordRequest: (head, connection) => journal.recordRequest(head, connection),
      stepFor: (request) => this.#source.onRequest(request),
      exchangeEnded: () => {
        journal.exchanges.decrease();
        journal.changed();
      },
      clientLeft: (request, how) => void journal.aborts.push({ request, how, at: performance.now() }),
      malformed: (error, bytes, connection) =>
        void journal.malformed.push({ connection, message: error.message, bytes: Buffer.from(bytes) }),
      scriptFailed: (error) => void journal.scriptErrors.push(error),
      changed: () => journal.changed(),
    };
  }
}
