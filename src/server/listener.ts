/**
 * One listening port of the data plane. A bare server of Node's: there is nothing here for a router or a framework to
 * do, and every request would pay for it (docs/adr/0004).
 */
import http from 'node:http';
import https from 'node:https';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import { Connections } from './connections.ts';
import type { Entrance, ExchangeHandler } from './exchange-handler.ts';
import { handshakeOn, readAsPlain } from './handshake.ts';
import { refuseOnSocket } from './raw-refusal.ts';
import { rememberBelow } from './tcp-below.ts';
import { joinTunnel } from './tunnel.ts';

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly maxHeaderBytes: number;
  /** Time for a client to send a request's head, however slowly it drips. */
  readonly headersTimeoutMs: number;
  readonly keepAliveMs: number;
  readonly maxConnections: number | undefined;
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | undefined;
}

export interface ListenerDeps {
  readonly handler: ExchangeHandler;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly pseudonym: () => string;
}

/** Connections that may wait to be accepted; Node's own 511 is few for a burst of agents. */
const BACKLOG = 4_096;

export class Listener {
  #entrance: Entrance;
  #options: ListenerOptions;
  readonly #deps: ListenerDeps;
  readonly #server: Server;
  readonly #tunnels = new Set<() => void>();
  readonly #connections = new Connections();
  #draining = false;

  constructor(entrance: Entrance, options: ListenerOptions, deps: ListenerDeps) {
    this.#entrance = entrance;
    this.#options = options;
    this.#deps = deps;
    this.#server = this.#createServer();
    this.#wire(this.#server);
  }

  /** @returns the port in use; rejects when the address cannot be had */
  async listen(): Promise<number> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: BACKLOG }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : port;
  }

  get tunnelCount(): number {
    return this.#tunnels.size;
  }

  /**
   * Takes over an owner, limits and certificates without closing.
   * @returns names of changed settings that wait for the next start, for a server cannot change them
   */
  update(entrance: Entrance, options: ListenerOptions): readonly string[] {
    this.#entrance = entrance;
    const { maxConnections, tls, maxHeaderBytes } = options;
    const { headersTimeoutMs, keepAliveMs } = wholeTimes(options);
    const server = this.#server;
    server.headersTimeout = headersTimeoutMs;
    server.keepAliveTimeout = keepAliveMs;
    // Zero would mean none at all; Node has no number for no limit.
    server.maxConnections = maxConnections ?? Number.MAX_SAFE_INTEGER;
    if (tls && server instanceof https.Server && !sameCertificate(tls, this.#options.tls))
      server.setSecureContext(tls);
    const late = [];
    if ((tls !== undefined) !== server instanceof https.Server) late.push('tls');
    if (maxHeaderBytes !== this.#options.maxHeaderBytes) late.push('maxHeaderSize');
    this.#options = { ...options, maxHeaderBytes: this.#options.maxHeaderBytes };
    return late;
  }

  /** Stops accepting; requests on open connections are still answered, and asked to close. */
  stopAccepting(): void {
    this.#draining = true;
    this.#server.close();
    this.#server.closeIdleConnections();
    this.#connections.closeAfterAnswers();
    this.#connections.destroyUnused();
  }

  /** Ends what is left, visibly. */
  async close(): Promise<void> {
    for (const close of [...this.#tunnels]) close();
    this.#server.closeAllConnections();
    this.#connections.destroyAll();
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #createServer(): Server {
    const { maxHeaderBytes, tls } = this.#options;
    const { headersTimeoutMs, keepAliveMs } = wholeTimes(this.#options);
    const options = {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headersTimeoutMs,
      requestTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      // Part of the wait for the head; Node's own 120 s would let silent clients live.
      handshakeTimeout: headersTimeoutMs,
      insecureHTTPParser: false,
      // Node looks for late heads only this often; its own 30 s would let slow ones live.
      connectionsCheckingInterval: Math.max(100, Math.min(1_000, Math.ceil(headersTimeoutMs / 4))),
      // Only Node 24 and later ask; before that every Upgrade request arrives as an upgrade and is handled there.
      shouldUpgradeCallback: (req: IncomingMessage) => this.#wantsTunnel(req),
    };
    // Types aside, Node's two servers are one to us.
    return tls ? https.createServer({ ...options, ...tls }) : http.createServer(options);
  }

  #wire(server: Server): void {
    const { maxConnections } = this.#options;
    if (maxConnections !== undefined) server.maxConnections = maxConnections;
    // Node would silently drop what is beyond the 2000th, whatever it says; the size of the head bounds their number.
    server.maxHeadersCount = 0;
    server.on('request', (req, res) => this.#handle(req, res));
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => this.#refuse(socket, error));
    if (server instanceof https.Server) rememberBelow(server);
    server.on('connection', (socket: Socket) => this.#connections.add(socket));
    server.on('secureConnection', (socket: Socket) => this.#connections.add(socket));
    // Before Node asks for an answer: it would wait for the end of the very handshake that failed.
    server.prependListener('tlsClientError', (_error: Error, socket: Socket) => socket.destroy());
    // With a listener here, Node leaves the `100 Continue` to whoever first wants the body.
    server.on('checkContinue', (req, res) => server.emit('request', req, res));
    // Node would answer in a word of its own.
    server.on('checkExpectation', (req, res) => server.emit('request', req, res));
    server.on('upgrade', (req, socket: Socket, head: Buffer) => void this.#upgrade(req, socket, head));
    server.on('connect', (_req, socket: Socket) => {
      // Node takes its own error listener away at this point.
      socket.on('error', () => socket.destroy());
      this.#refuse(socket, { code: 'CONNECT' });
    });
  }

  #handle(req: IncomingMessage, res: ServerResponse): void {
    if (this.#draining) res.shouldKeepAlive = false;
    this.#connections.answering(req.socket, res);
    void this.#deps.handler.handle(req, res, this.#entrance);
  }

  #refuse(socket: Socket, error: { readonly code?: string | undefined }): void {
    const answer = this.#connections.answerOn(socket);
    if (answer === 'begun') socket.destroy();
    else {
      const { emit, pseudonym } = this.#deps;
      refuseOnSocket(socket, error, { emit, pseudonym: pseudonym(), inExchange: answer === 'due' });
    }
  }

  /** With a body, nobody could say where it ends and the other protocol begins: such a request is an ordinary one. */
  #wantsTunnel(req: IncomingMessage): boolean {
    const { 'transfer-encoding': coding, 'content-length': length = '0' } = req.headers;
    if (coding !== undefined || length !== '0') return false;
    const wanted = req.headers.upgrade?.trim().toLowerCase();
    return wanted !== undefined && this.#deps.handler.upgradesFor(req, this.#entrance).includes(wanted);
  }

  async #upgrade(req: IncomingMessage, socket: Socket, early: Buffer): Promise<void> {
    if (!this.#wantsTunnel(req)) return readAsPlain(this.#server, { req, socket, early });
    const { res, release } = handshakeOn(req, socket);
    const protocol = req.headers.upgrade?.trim().toLowerCase();
    const start = await this.#deps.handler.handle(req, res, this.#entrance, protocol);
    const upstream = start?.outcome.tunnel;
    if (!start || !upstream) return;
    release();
    const close = joinTunnel(
      { client: socket, upstream, early },
      {
        head: start.outcome.head,
        extraHeaders: start.headers,
        idleMs: start.idleMs,
        clock: this.#deps.clock,
      },
    );
    start.exchange.cancellation.onCancel(close);
    this.#tunnels.add(close);
    start.outcome.body.onEnd(() => this.#tunnels.delete(close));
  }
}

/** Durations may have fractions of a millisecond; Node's servers take none. */
const wholeTimes = ({ headersTimeoutMs, keepAliveMs }: ListenerOptions) => ({
  headersTimeoutMs: Math.ceil(headersTimeoutMs),
  keepAliveMs: Math.ceil(keepAliveMs),
});

const sameCertificate = (a: { cert: Buffer; key: Buffer }, b: ListenerOptions['tls']): boolean =>
  b !== undefined && a.cert.equals(b.cert) && a.key.equals(b.key);
