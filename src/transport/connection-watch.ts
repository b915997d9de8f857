/**
 * Tells each request which connection it went out on: whether it was a reused one (a close there may be the
 * keep-alive race) and whether it broke (a body that ends with its connection may be cut); and which stream of it, where
 * it speaks HTTP/2. The HTTP client and Node publish this only on their diagnostics channels.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

const SEND_HEADERS = 'undici:client:sendHeaders';
const STREAM_CREATED = 'http2.client.stream.created';

/** Receives the connection of a request that is being written. */
export interface ConnectionAware {
  onConnection(socket: Socket, reused: boolean): void;
  /** HTTP/2 only. */
  onStream(stream: ClientHttp2Stream): void;
}

export class ConnectionWatch {
  readonly #used = new WeakSet<Socket>();
  #starting: ConnectionAware | undefined;
  /** Its stream comes next. */
  #sending: ConnectionAware | undefined;

  readonly #onSendHeaders = (message: unknown): void => {
    const starting = this.#starting;
    if (!starting) return;
    this.#starting = undefined;
    const { socket } = message as { socket?: Socket };
    if (!socket) return;
    const reused = this.#used.has(socket);
    if (!reused) this.#used.add(socket);
    // Else the next stream is somebody else's, and whoever waits for it in vain is kept.
    if ((socket as Partial<TLSSocket>).alpnProtocol === 'h2') this.#sending = starting;
    starting.onConnection(socket, reused);
  };

  readonly #onStreamCreated = (message: unknown): void => {
    const sending = this.#sending;
    this.#sending = undefined;
    sending?.onStream((message as { stream: ClientHttp2Stream }).stream);
  };

  constructor() {
    subscribe(SEND_HEADERS, this.#onSendHeaders);
    subscribe(STREAM_CREATED, this.#onStreamCreated);
  }

  /** Call from `onRequestStart`: the channels' messages follow synchronously. */
  starting(request: ConnectionAware): void {
    this.#starting = request;
    this.#sending = undefined;
  }

  dispose(): void {
    unsubscribe(SEND_HEADERS, this.#onSendHeaders);
    unsubscribe(STREAM_CREATED, this.#onStreamCreated);
  }
}
