/** The listening side of a scripted upstream: plain TCP, optionally with TLS on top, restartable on the same port. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import type { PeerSocket } from '../wire/peer.ts';

export interface ListenerEvents {
  /** A TCP connection, before anything is read. Returning `true` takes it over. */
  accepted(tcp: Socket): boolean;
  /** A connection that is ready for HTTP: after the handshake on TLS. */
  ready(sockets: PeerSocket): void;
}

export class Listener {
  readonly #server: Server;
  readonly #tcp = new Set<Socket>();
  readonly #events: ListenerEvents;
  readonly #serve: (tcp: Socket) => void;
  #port = 0;

  constructor(events: ListenerEvents, tls: TlsOptions | undefined) {
    this.#events = events;
    this.#serve = tls ? this.#overTls(tls) : (tcp) => events.ready({ socket: tcp, tcp });
    // Half-open sockets are kept: a step that answers after the client's FIN must be possible.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (tcp) => this.#onConnection(tcp));
  }

  get port(): number {
    return this.#port;
  }

  /** Listens on a free port of 127.0.0.1, the second time on the same one. */
  async listen(): Promise<void> {
    this.#server.listen({ port: this.#port, host: '127.0.0.1' });
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** New connections are refused from now on; open ones live on. */
  stop(): void {
    if (this.#server.listening) this.#server.close();
  }

  resetAll(): void {
    for (const tcp of [...this.#tcp]) tcp.resetAndDestroy();
  }

  /** Resolves when the port is free and every socket is gone. */
  async close(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : Promise.resolve();
    this.stop();
    const gone = [...this.#tcp].map((tcp) => new Promise((resolve) => tcp.once('close', resolve)));
    for (const tcp of [...this.#tcp]) tcp.destroy();
    await Promise.all([closed, ...gone]);
  }

  #onConnection(tcp: Socket): void {
    this.#tcp.add(tcp);
    tcp.once('close', () => this.#tcp.delete(tcp));
    tcp.on('error', () => undefined);
    if (!this.#events.accepted(tcp)) this.#serve(tcp);
  }

  /** Handshakes run in a TLS server that listens nowhere; its sockets are matched to ours by their remote port. */
  #overTls(options: TlsOptions): (tcp: Socket) => void {
    const handshaking = new Map<number | undefined, Socket>();
    const server = createTlsServer(options, (socket) => {
      const tcp = handshaking.get(socket.remotePort);
      if (tcp) this.#events.ready({ socket, tcp });
    });
    return (tcp) => {
      const { remotePort } = tcp;
      handshaking.set(remotePort, tcp);
      // The TLS socket inherits it, and a client that leaves during the handshake would go unnoticed.
      tcp.allowHalfOpen = false;
      tcp.once('close', () => handshaking.delete(remotePort));
      server.emit('connection', tcp);
    };
  }
}
