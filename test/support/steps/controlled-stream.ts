/** An answer that the test writes itself, so that nothing depends on timers. */
import { Conditions, type WaitOptions } from '../conditions.ts';
import type { RecordedRequest } from '../upstream/recorded-request.ts';
import type { RequestStep } from '../upstream/step.ts';
import type { UpstreamExchange } from '../upstream/upstream-exchange.ts';
import type { HeadersInit } from '../wire/headers.ts';
import {
  bodyBytes,
  chunkBytes,
  headBytes,
  lastChunkBytes,
  statusLine,
  type Bytes,
} from '../wire/serialize.ts';

/** An answer the test writes piece by piece. Calls may come before the request; they then wait for it, 5 s at most. */
export interface ControlledStream extends RequestStep {
  /** The request it answers, once it is there. */
  waitForRequest(options?: WaitOptions): Promise<RecordedRequest>;
  /** Default 200, chunked, `text/event-stream`. With `headers` the caller frames: pieces are written as they are. */
  head(answer?: { readonly status?: number; readonly headers?: HeadersInit }): Promise<void>;
  /** One piece of the body, in a chunk of its own when chunked. Resolves when the kernel took it, or the client left. */
  write(bytes: Bytes): Promise<void>;
  /** Ends properly: the last chunk when chunked, and nothing otherwise (the length was announced). */
  end(): Promise<void>;
  /** FIN without an end. */
  cut(): Promise<void>;
  /** RST. */
  reset(): Promise<void>;
}

/**
 * A step for one request, driven by the test. Build one for each request.
 * @param startsAt `head` to answer while the upload goes on. Default `body`.
 */
export function controlledStream(startsAt: 'head' | 'body' = 'body'): ControlledStream {
  return new TestDrivenAnswer(startsAt);
}

class TestDrivenAnswer implements ControlledStream {
  readonly name = 'controlledStream';
  readonly startsAt: 'head' | 'body';
  readonly #conditions = new Conditions();
  readonly #over = Promise.withResolvers<void>();
  #current: UpstreamExchange | undefined;
  #chunked = true;

  constructor(startsAt: 'head' | 'body') {
    this.startsAt = startsAt;
  }

  async run(exchange: UpstreamExchange): Promise<void> {
    if (this.#current) throw new Error('a controlledStream answers one request: build another');
    this.#current = exchange;
    this.#conditions.changed();
    await Promise.race([this.#over.promise, exchange.gone]);
  }

  async waitForRequest(options?: WaitOptions): Promise<RecordedRequest> {
    return (await this.#exchange(options)).request;
  }

  async head({ status = 200, headers }: { status?: number; headers?: HeadersInit } = {}): Promise<void> {
    const exchange = await this.#exchange();
    this.#chunked = headers === undefined;
    const chunkedEvents = { 'content-type': 'text/event-stream', 'transfer-encoding': 'chunked' };
    await exchange.write(headBytes(statusLine(status), headers ?? chunkedEvents));
  }

  async write(bytes: Bytes): Promise<void> {
    const exchange = await this.#exchange();
    await exchange.write(this.#chunked ? chunkBytes(bytes) : bodyBytes(bytes));
  }

  async end(): Promise<void> {
    const exchange = await this.#exchange();
    if (this.#chunked) await exchange.write(lastChunkBytes());
    this.#over.resolve();
  }

  async cut(): Promise<void> {
    (await this.#exchange()).finish();
    this.#over.resolve();
  }

  async reset(): Promise<void> {
    (await this.#exchange()).reset();
    this.#over.resolve();
  }

  #exchange(options?: WaitOptions): Promise<UpstreamExchange> {
    return this.#conditions.until(
      () => this.#current,
      () => 'the request that a controlledStream is to answer',
      options,
    );
  }
}
