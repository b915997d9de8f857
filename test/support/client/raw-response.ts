/** A response as it arrives on a raw connection. */
import { quiet, type Conditions, type WaitOptions } from '../conditions.ts';
import type { Framing } from '../wire/framing.ts';
import { parseStatusLine, type Head } from '../wire/head.ts';
import { headerValues } from '../wire/headers.ts';

/**
 * How the message ended. `complete`: as its framing says (without framing: by FIN); `cut`: FIN before that; `reset`: RST
 * before that; `malformed`: broken framing; `open`: not yet.
 */
export type MessageEnd = 'open' | 'complete' | 'cut' | 'reset' | 'malformed';

export interface Arrival {
  readonly bytes: Buffer;
  /** `performance.now()` milliseconds. */
  readonly at: number;
}

/** An interim answer, such as 103. */
export interface Interim {
  readonly status: number;
  readonly reason: string;
  readonly rawHeaders: readonly [string, string][];
}

/** Status and header fields of any answer. */
export class ResponseHead {
  readonly version: string;
  readonly status: number;
  readonly reason: string;
  /** In order, case and duplicates kept, latin1. */
  readonly rawHeaders: readonly [string, string][];

  constructor(head: Head) {
    const line = parseStatusLine(head.startLine);
    this.version = line.version;
    this.status = line.status;
    this.reason = line.reason;
    this.rawHeaders = head.rawHeaders;
  }

  /** First value of the header `name`, any case. */
  header(name: string): string | undefined {
    return this.headers(name)[0];
  }

  /** All values of the header `name`, any case. */
  headers(name: string): string[] {
    return headerValues(this.rawHeaders, name);
  }
}

export interface ResponseParts {
  readonly head: ResponseHead;
  readonly interim: readonly Interim[];
  readonly framing: Framing;
}

export class RawResponse {
  readonly version: string;
  readonly status: number;
  readonly reason: string;
  readonly rawHeaders: readonly [string, string][];
  /** The 1xx answers that came before, in order. */
  readonly interim: readonly Interim[];
  readonly framing: Framing;
  /** When the head was read, in `performance.now()` milliseconds. */
  readonly headAt: number = performance.now();
  trailers: readonly [string, string][] = [];
  /** Resolves when the message has ended, however it did. Never rejects, and may never settle: `ended` is bounded. */
  readonly over: Promise<void>;
  readonly #over = Promise.withResolvers<void>();
  readonly #head: ResponseHead;
  readonly #conditions: Conditions;
  readonly #arrivals: Arrival[] = [];
  #end: MessageEnd = 'open';
  #next = 0;

  constructor(parts: ResponseParts, conditions: Conditions) {
    this.#head = parts.head;
    this.#conditions = conditions;
    this.version = parts.head.version;
    this.status = parts.head.status;
    this.reason = parts.head.reason;
    this.rawHeaders = parts.head.rawHeaders;
    this.interim = parts.interim;
    this.framing = parts.framing;
    this.over = this.#over.promise;
  }

  get end(): MessageEnd {
    return this.#end;
  }

  /** First value of the header `name`, any case. */
  header(name: string): string | undefined {
    return this.#head.header(name);
  }

  /** All values of the header `name`, any case. */
  headers(name: string): string[] {
    return this.#head.headers(name);
  }

  /** What has arrived of the body so far, without transfer coding. */
  get received(): Buffer {
    return Buffer.concat(this.#arrivals.map((arrival) => arrival.bytes));
  }

  /** Every piece of the body so far. A piece never spans two HTTP chunks, nor two reads. */
  get arrivals(): readonly Arrival[] {
    return this.#arrivals;
  }

  /** The next piece of the body; `undefined` once the message has ended, however it did. */
  nextChunk(options?: WaitOptions): Promise<Arrival | undefined> {
    const position = this.#next++;
    const ready = (): boolean => position < this.#arrivals.length || this.end !== 'open';
    const wanted = (): string => this.#wanted(`piece ${position + 1} of the body`);
    return quiet(this.#conditions.untilTrue(ready, wanted, options).then(() => this.#arrivals[position]));
  }

  /** Until at least `count` body bytes are here. */
  waitForBytes(count: number, options?: WaitOptions): Promise<void> {
    const wanted = (): string => this.#wanted(`${count} bytes of the body`);
    return this.#conditions.untilTrue(() => this.received.length >= count, wanted, options);
  }

  /** How the message ended, once it has. */
  ended(options?: WaitOptions): Promise<Exclude<MessageEnd, 'open'>> {
    const probe = (): Exclude<MessageEnd, 'open'> | undefined => (this.end === 'open' ? undefined : this.end);
    return this.#conditions.until(probe, () => this.#wanted('the end of the response'), options);
  }

  /** The whole body. @throws Error unless the message ends `complete` */
  async bytes(options?: WaitOptions): Promise<Buffer> {
    const end = await this.ended(options);
    if (end !== 'complete') throw new Error(this.#wanted(`a complete body, but it ended ${end}`));
    return this.received;
  }

  async text(options?: WaitOptions): Promise<string> {
    return (await this.bytes(options)).toString('utf8');
  }

  async json(options?: WaitOptions): Promise<unknown> {
    return JSON.parse(await this.text(options));
  }

  /** For the client that reads the response. */
  add(bytes: Buffer): void {
    this.#arrivals.push({ bytes, at: performance.now() });
  }

  /** For the client that reads the response. */
  finish(how: Exclude<MessageEnd, 'open'>): void {
    this.#end = how;
    this.#over.resolve();
  }

  #wanted(what: string): string {
    return `${what}; have ${this.status}, ${this.received.length} body bytes, ${this.end}`;
  }
}
