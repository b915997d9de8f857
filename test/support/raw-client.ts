/** An HTTP/1.1 client on a raw socket: it sends any bytes, and says exactly what came back, when, and how it ended. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { RawResponse } from './client/raw-response.ts';
import { ResponseReader } from './client/response-reader.ts';
import { Conditions, quiet, type WaitOptions } from './conditions.ts';
import { toPairs, type HeadersInit } from './wire/headers.ts';
import { Peer, type Ending, type PeerSocket } from './wire/peer.ts';
import { bodyBytes, chunkBytes, headBytes, lastChunkBytes, type Bytes } from './wire/serialize.ts';

export interface ConnectOptions {
  /** TLS on top. Default plain TCP. */
  readonly tls?: ConnectionOptions;
}

export interface RequestInit {
  /** Default `GET`. */
  readonly method?: string;
  /** Default `/`. Sent as it is. */
  readonly path?: string;
  /** After `Host`, unless a `host` is here. */
  readonly headers?: HeadersInit;
  /** Sent with its length, or in one chunk with `chunked`. */
  readonly body?: Bytes;
  /** Default false. */
  readonly chunked?: boolean;
}

/** Connects to 127.0.0.1. @throws Error with a code such as `ECONNREFUSED` */
export async function rawClient(port: number, options: ConnectOptions = {}): Promise<RawClient> {
  return new RawClient(await open(port, options));
}

export class RawClient {
  readonly #conditions = new Conditions();
  readonly #reader = new ResponseReader(this.#conditions);
  readonly #peer: Peer;

  constructor(sockets: PeerSocket) {
    this.#peer = new Peer(sockets, {
      bytes: (bytes) => this.#reader.push(bytes),
      ended: (how) => this.#reader.close(how),
    });
  }

  /** How the other side ended; `ours` when we destroyed the connection first; `undefined` while it is open. */
  get ending(): Ending | undefined {
    return this.#peer.ending;
  }

  get bytesRead(): number {
    return this.#peer.bytesRead;
  }

  /** Exact bytes; strings are latin1. Resolves when the kernel took them; no need to await. */
  async send(bytes: string | Buffer): Promise<void> {
    await this.#peer.send(bytes);
  }

  /** Sends one well-formed request and waits for the head of its answer. */
  request(init: RequestInit = {}, options?: WaitOptions): Promise<RawResponse> {
    const response = this.response(init.method, options);
    void this.send(requestBytes(init));
    return response;
  }

  /**
   * The next response, once its final head is here; interim ones are in `interim`. Call it once for each request.
   * @param method of the request, because answers to HEAD have no body. Default `GET`.
   * @throws Error when the connection ends before that; WireError when the head is malformed
   */
  response(method = 'GET', options?: WaitOptions): Promise<RawResponse> {
    const expected = this.#reader.expect(method);
    const probe = (): RawResponse | undefined => {
      if (expected.failure) throw expected.failure;
      return expected.response;
    };
    return this.#conditions.until(
      probe,
      () => `the response head; ${this.#reader.unread.length} bytes came`,
      options,
    );
  }

  /** The next bytes outside of any response that was asked for, as in a tunnel; `undefined` at the end. */
  nextBytes(options?: WaitOptions): Promise<Buffer | undefined> {
    const ready = (): boolean => this.#reader.unread.length > 0 || this.ending !== undefined;
    const waited = this.#conditions.untilTrue(ready, () => 'more bytes', options);
    return quiet(waited.then(() => nonEmpty(this.#reader.takeUnread())));
  }

  /** Everything the other side sends outside of responses, until it ends. */
  readToEnd(options?: WaitOptions): Promise<Buffer> {
    return quiet(this.waitForEnd(options).then(() => this.#reader.takeUnread()));
  }

  /** Until the other side closes or resets the connection. */
  waitForEnd(options?: WaitOptions): Promise<Ending> {
    return this.#conditions.until(
      () => this.ending,
      () => 'the end of the connection',
      options,
    );
  }

  /** FIN: nothing more to send, but still reading. */
  halfClose(): void {
    this.#peer.finish();
  }

  /** Leaves as a killed process does: FIN, or RST where unread bytes wait. */
  destroy(): void {
    this.#peer.destroy();
  }

  /** Leaves with RST. */
  reset(): void {
    this.#peer.reset();
  }

  /** Stops reading (64 KiB at most still come in), for tests of backpressure. */
  pause(): void {
    this.#peer.pause();
  }

  resume(): void {
    this.#peer.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.destroy();
    await this.#peer.closed;
  }
}

/** One request on a connection of its own, which closes when the answer has ended. */
export async function request(
  port: number,
  init: RequestInit = {},
  options: WaitOptions = {},
): Promise<RawResponse> {
  const client = await rawClient(port);
  try {
    const response = await client.request(init, options);
    void response.over.then(() => client.destroy());
    return response;
  } catch (error) {
    client.destroy();
    throw error;
  }
}

/** The bytes of one well-formed request. */
export function requestBytes({
  method = 'GET',
  path = '/',
  headers = [],
  body,
  chunked = false,
}: RequestInit): Buffer {
  const pairs = toPairs(headers);
  const named = (name: string): boolean => pairs.some(([key]) => key.toLowerCase() === name);
  const host = named('host') ? [] : [['Host', 'test.invalid'] as const];
  const framing = body === undefined || named('content-length') ? [] : [framingHeader(body, chunked)];
  const head = headBytes(`${method} ${path} HTTP/1.1`, [...host, ...pairs, ...framing]);
  if (body === undefined) return head;
  return Buffer.concat(chunked ? [head, chunkBytes(body), lastChunkBytes()] : [head, bodyBytes(body)]);
}

function framingHeader(body: Bytes, chunked: boolean): readonly [string, string] {
  return chunked ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(bodyBytes(body).length)];
}

async function open(port: number, { tls }: ConnectOptions): Promise<PeerSocket> {
  const tcp = connect({ port, host: '127.0.0.1', allowHalfOpen: tls === undefined, noDelay: true });
  await once(tcp, 'connect');
  if (tls === undefined) return { socket: tcp, tcp };
  const socket = connectTls({ ...tls, socket: tcp });
  try {
    await once(socket, 'secureConnect');
    return { socket, tcp };
  } catch (error) {
    tcp.destroy();
    throw error;
  }
}

function nonEmpty(bytes: Buffer): Buffer | undefined {
  return bytes.length > 0 ? bytes : undefined;
}
