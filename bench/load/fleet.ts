/** Instances that register and beat, each over a connection of its own, as agents do. */
import { connect, type Socket } from 'node:net';
import { MessageReader, statusOf } from './wire.ts';

const TICK_MS = 5;
const AT_ONCE = 50;
const ANSWER_TIMEOUT_MS = 5_000;
const HOST = '127.0.0.1';

/** Nobody answered, or the connection broke. */
const NOTHING = 0;

/** One connection, opened when it is needed and kept; one request at a time. */
class Line {
  readonly #port: number;
  #socket: Socket | undefined;
  #answered: ((status: number) => void) | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  get isWaiting(): boolean {
    return this.#answered !== undefined;
  }

  /** @returns the status, or 0 where there was no answer */
  ask(method: string, path: string, body: unknown): Promise<number> {
    const text = JSON.stringify(body);
    const head = `${method} ${path} HTTP/1.1\r\nhost: ${HOST}:${this.#port}\r\ncontent-type: application/json`;
    this.#socket ??= this.#open();
    this.#socket.write(`${head}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
    return new Promise((resolve) => {
      this.#answered = resolve;
    });
  }

  close(): void {
    this.#socket?.destroy();
  }

  #open(): Socket {
    const socket = connect({ port: this.#port, host: HOST, noDelay: true });
    let status = NOTHING;
    const reader = new MessageReader('response', {
      onHead: (head) => {
        status = statusOf(head);
      },
      onBody: () => {},
      onEnd: () => this.#settle(status),
    });
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => this.isWaiting && socket.destroy());
    socket.on('data', (data) => reader.feed(data));
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      this.#socket = undefined;
      this.#settle(NOTHING);
    });
    return socket;
  }

  #settle(status: number): void {
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.(status);
  }
}

export interface FleetOptions {
  /** The registry's. */
  readonly port: number;
  readonly service: string;
  readonly size: number;
  /** Between two heartbeats of an instance; all of them are spread evenly over it. */
  readonly beatMs: number;
  readonly ttlMs: number;
}

export class Fleet {
  /** Heartbeats by what came of them, since the last call of `reset`. */
  counts = { known: 0, unknown: 0, unanswered: 0, skipped: 0 };
  /** Milliseconds of each answered heartbeat. */
  latencies: number[] = [];
  /** When each was heard last, on the scale of `performance.now()`. */
  readonly heardAt = new Map<string, number>();
  readonly #options: FleetOptions;
  readonly #lines: readonly Line[];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#lines = Array.from({ length: options.size }, () => new Line(options.port));
  }

  /** @throws Error where one of them is not taken in */
  async register(): Promise<void> {
    const { size, ttlMs } = this.#options;
    for (let from = 0; from < size; from += AT_ONCE) {
      const some = this.#lines.slice(from, from + AT_ONCE).map(async (line, offset) => {
        const body = { url: `http://${HOST}:9/${from + offset}`, ttlMs, metadata: { tool: 'bench' } };
        const status = await line.ask('PUT', this.#path(from + offset), body);
        if (status !== 201) throw new Error(`registering was answered ${status}`);
        this.heardAt.set(this.#id(from + offset), performance.now());
      });
      await Promise.all(some);
    }
  }

  beat(): void {
    const { size, beatMs } = this.#options;
    const startedAt = performance.now();
    let sent = 0;
    this.#timer ??= setInterval(() => {
      const due = Math.floor(((performance.now() - startedAt) / beatMs) * size);
      for (; sent < due; sent++) void this.#beatOne(sent % size);
    }, TICK_MS);
  }

  rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  reset(): void {
    this.counts = { known: 0, unknown: 0, unanswered: 0, skipped: 0 };
    this.latencies = [];
  }

  close(): void {
    this.rest();
    for (const line of this.#lines) line.close();
  }

  async #beatOne(index: number): Promise<void> {
    const line = this.#lines[index];
    if (!line || line.isWaiting) {
      this.counts.skipped += 1;
      return;
    }
    const sentAt = performance.now();
    const status = await line.ask('POST', `${this.#path(index)}/heartbeat`, {});
    if (status === NOTHING) this.counts.unanswered += 1;
    else {
      this.latencies.push(performance.now() - sentAt);
      this.counts[status === 200 ? 'known' : 'unknown'] += 1;
    }
    if (status === 200) this.heardAt.set(this.#id(index), performance.now());
  }

  #id(index: number): string {
    return `i-${index}`;
  }

  #path(index: number): string {
    return `/v1/services/${this.#options.service}/instances/${this.#id(index)}`;
  }
}
