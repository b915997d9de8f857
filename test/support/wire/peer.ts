/** One side of a TCP or TLS connection, with every way to end it and the knowledge of who ended it how. */
import type { Socket } from 'node:net';

/** `fin`: the other side closed in order; `reset`: it broke off; `ours`: we destroyed it. */
export type Ending = 'fin' | 'reset' | 'ours';

export interface PeerEvents {
  bytes(bytes: Buffer): void;
  /** The other side will send nothing more, or we destroyed the connection. Called once. */
  ended(how: Ending): void;
}

export interface PeerSocket {
  /** Where bytes are read and written: the TLS socket on TLS. */
  readonly socket: Socket;
  /** The TCP socket underneath; the same one without TLS. RST can only be sent there. */
  readonly tcp: Socket;
}

export class Peer {
  /** Resolves when the connection is gone altogether. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #tcp: Socket;
  readonly #events: PeerEvents;
  readonly #sleepers = new Set<() => void>();
  #ending: Ending | undefined;
  #finished = false;

  constructor(sockets: PeerSocket, events: PeerEvents) {
    this.#socket = sockets.socket;
    this.#tcp = sockets.tcp;
    this.#events = events;
    this.#socket.on('data', (bytes: Buffer) => events.bytes(bytes));
    this.#socket.on('end', () => this.#end('fin'));
    this.#socket.on('error', () => this.#end('reset'));
    this.closed = new Promise((resolve) => {
      this.#socket.once('close', () => {
        this.#end('ours');
        for (const wake of [...this.#sleepers]) wake();
        resolve();
      });
    });
  }

  /** How the other side's half ended; `undefined` while it can still send. */
  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Whether we ended our half ourselves. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Whether we can still write: neither finished, nor destroyed, nor reset. */
  get writable(): boolean {
    return !this.#finished && !this.#socket.destroyed && this.#socket.writable;
  }

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  /** Bytes that came in from the other side, on TLS after decryption. */
  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  /** Resolves to true when the kernel has taken the bytes, to false when they can no longer be sent. Strings are latin1. */
  send(bytes: string | Buffer): Promise<boolean> {
    if (!this.writable) return Promise.resolve(false);
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    return new Promise((resolve) => {
      this.#socket.write(data, (error) => resolve(!error));
    });
  }

  /** Sends FIN after what was written, and goes on reading. */
  finish(): void {
    if (!this.writable) return;
    this.#finished = true;
    this.#socket.end();
  }

  /** Sends RST: the other side sees `ECONNRESET`. */
  reset(): void {
    this.#finished = true;
    if (this.#tcp.destroyed) return;
    this.#tcp.resetAndDestroy();
    if (this.#tcp !== this.#socket) this.#socket.destroy();
  }

  /** Closes at once: FIN, or RST where unread bytes are waiting. */
  destroy(): void {
    this.#finished = true;
    this.#socket.destroy();
    this.#tcp.destroy();
  }

  /**
   * Stops reading after at most 64 KiB more, so that the other side's writes back up. While paused an ending may go
   * unnoticed.
   */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Waits `ms` milliseconds, or less when the connection closes before. */
  sleep(ms: number): Promise<void> {
    if (this.#socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#sleepers.add(wake);
    });
  }

  #end(how: Ending): void {
    if (this.#ending !== undefined) return;
    this.#ending = how;
    this.#events.ended(how);
  }
}
