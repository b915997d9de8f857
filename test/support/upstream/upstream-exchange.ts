/** What a step works with: the request, and every way to answer it, right or wrong. */
import type { Peer } from '../wire/peer.ts';
import type { RecordedRequest } from './recorded-request.ts';

/** What a step may ask of the connection, apart from writing. */
export interface ExchangeHooks {
  /** The next bytes after this exchange go to `handler` instead of being parsed as a request. */
  interceptNext(handler: () => void): void;
  /** All bytes from now on go to `onBytes`. */
  tunnel(onBytes: (bytes: Buffer) => void): void;
}

export class UpstreamExchange {
  readonly request: RecordedRequest;
  /** Resolves when the connection is gone. */
  readonly gone: Promise<void>;
  readonly #peer: Peer;
  readonly #hooks: ExchangeHooks;

  constructor(request: RecordedRequest, peer: Peer, hooks: ExchangeHooks) {
    this.request = request;
    this.gone = peer.closed;
    this.#peer = peer;
    this.#hooks = hooks;
  }

  /** Whether writing still makes sense. Writing after that is harmless and does nothing. */
  get writable(): boolean {
    return this.#peer.writable;
  }

  /** Resolves when the kernel has taken the bytes, or when the connection is gone. Strings are latin1. */
  async write(bytes: string | Buffer): Promise<void> {
    if (await this.#peer.send(bytes)) this.request.answeredBytes += bytes.length;
  }

  /** FIN; reading goes on. */
  finish(): void {
    this.#peer.finish();
  }

  /** RST. */
  reset(): void {
    this.#peer.reset();
  }

  /** Stops taking bytes from the client, so that its upload backs up. */
  stopReading(): void {
    this.#peer.pause();
  }

  /** Waits `ms`, or less when the connection closes. */
  sleep(ms: number): Promise<void> {
    return this.#peer.sleep(ms);
  }

  /** The next bytes after this exchange go to `handler` instead of being read as a request. */
  interceptNext(handler: () => void): void {
    this.#hooks.interceptNext(handler);
  }

  /** Switches the connection to raw bytes, as after 101; ends the HTTP life of this connection. */
  tunnel(onBytes: (bytes: Buffer) => void): void {
    this.#hooks.tunnel(onBytes);
  }
}
