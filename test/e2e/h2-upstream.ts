/** An HTTP/2 upstream over TLS on a free port, for tests: what each stream gets, and what became of it. */
import { once } from 'node:events';
import { createSecureServer } from 'node:http2';
import type {
  Http2SecureServer,
  IncomingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Conditions } from '../support/conditions.ts';
import { serverTlsOptions } from '../support/tls/identities.ts';

export interface SeenStream {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  /** The connection it came on, from 0. */
  readonly connection: number;
  /** The client has reset it, or its connection is gone. */
  aborted: boolean;
}

export type OnStream = (seen: SeenStream, n: number) => void;

export interface H2Options {
  /** Speak HTTP/1.1 to clients that do not offer more. Default false. */
  readonly allowHttp1?: boolean;
  readonly maxConcurrentStreams?: number;
}

/** @param onStream answers each stream; `n` counts them from 1 */
export async function h2Upstream(onStream: OnStream, options: H2Options = {}): Promise<H2Upstream> {
  const upstream = new H2Upstream(onStream, options);
  upstream.server.listen(0, '127.0.0.1');
  await once(upstream.server, 'listening');
  return upstream;
}

export class H2Upstream {
  readonly server: Http2SecureServer;
  readonly streams: SeenStream[] = [];
  readonly sessions: ServerHttp2Session[] = [];
  readonly #conditions = new Conditions();

  constructor(onStream: OnStream, { allowHttp1 = false, maxConcurrentStreams = 1_000 }: H2Options) {
    const { ALPNProtocols: _, ...tls } = serverTlsOptions({});
    this.server = createSecureServer({ ...tls, allowHTTP1: allowHttp1, settings: { maxConcurrentStreams } });
    this.server.on('session', (session) => {
      this.sessions.push(session);
      session.on('error', () => undefined);
      this.#conditions.changed();
    });
    this.server.on('stream', (stream, headers) => {
      const connection = this.sessions.indexOf(stream.session as ServerHttp2Session);
      const seen: SeenStream = { stream, headers, connection, aborted: false };
      this.streams.push(seen);
      stream.on('error', () => undefined);
      stream.on('aborted', () => {
        seen.aborted = true;
        this.#conditions.changed();
      });
      this.#conditions.changed();
      onStream(seen, this.streams.length);
    });
  }

  get origin(): string {
    return `https://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The `n`-th stream (from 1), as soon as its head is there. */
  waitForStream(n = 1): Promise<SeenStream> {
    return this.waitFor(() => this.streams[n - 1], `stream ${n}`);
  }

  /** Until the `n`-th stream (from 1) is reset by the client. */
  async waitForAbort(n = 1): Promise<void> {
    await this.waitFor(() => this.streams[n - 1]?.aborted || undefined, `the reset of stream ${n}`);
  }

  waitFor<T>(probe: () => T | undefined, wanted: string): Promise<T> {
    return this.#conditions.until(probe, () => `${wanted}; saw ${this.streams.length} streams`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.sessions) session.destroy();
    const closed = once(this.server, 'close');
    this.server.close();
    await closed;
  }
}

/** Answers at once. */
export const answer =
  (body: string, headers: Record<string, string | number | string[]> = {}): OnStream =>
  ({ stream }) => {
    stream.respond({ ':status': 200, 'content-length': Buffer.byteLength(body), ...headers });
    stream.end(body);
  };
