/**
 * Tells each request which connection it went out on: whether it was a reused one (a close there may be the
 * keep-alive race) and whether it broke (a body that ends with its connection may be cut). The HTTP client publishes
 * this only on its diagnostics channel.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

const CHANNEL = 'undici:client:sendHeaders';

/** Receives the connection of a request that is being written. */
export interface ConnectionAware {
  onConnection(socket: Socket, reused: boolean): void;
}

export class ConnectionWatch {
  readonly #used = new WeakSet<Socket>();
  #starting: ConnectionAware | undefined;

  readonly #onSendHeaders = (message: unknown): void => {
    const starting = this.#starting;
    if (!starting) return;
    this.#starting = undefined;
    const { socket } = message as { socket?: Socket };
    if (!socket) return;
    const reused = this.#used.has(socket);
    if (!reused) this.#used.add(socket);
    starting.onConnection(socket, reused);
  };

  constructor() {
    subscribe(CHANNEL, this.#onSendHeaders);
  }

  /** Call from `onRequestStart`: the channel's message follows synchronously. */
  starting(request: ConnectionAware): void {
    this.#starting = request;
  }

  dispose(): void {
    unsubscribe(CHANNEL, this.#onSendHeaders);
  }
}
