/** A request as the upstream saw it. The record is live: the body grows while it is uploaded. */
import { parseRequestLine, type Head } from '../wire/head.ts';
import { asksToClose, requestFraming, type Framing } from '../wire/framing.ts';
import { headerValues } from '../wire/headers.ts';

/** `open`: still arriving; `complete`: ended by its own framing; `cut`: the connection ended first. */
export type UploadState = 'open' | 'complete' | 'cut';

export class RecordedRequest {
  /** Order of arrival over all connections, from 1. */
  readonly number: number;
  /** Which connection it came on, from 1. */
  readonly connection: number;
  readonly method: string;
  /** The target's bytes as latin1, untouched. */
  readonly target: string;
  readonly version: '1.0' | '1.1';
  /** Names and values in order, case and duplicates kept, latin1. */
  readonly rawHeaders: readonly [string, string][];
  readonly framing: Framing;
  /** Whether the sender wants the connection closed after the answer. */
  readonly asksToClose: boolean;
  /** Instants of the head's end and of the body's end (however it ended), in `performance.now()` milliseconds. */
  readonly headAt: number = performance.now();
  endedAt: number | undefined;
  upload: UploadState = 'open';
  trailers: readonly [string, string][] = [];
  /** Bytes of the answer that the kernel took; says how far a reader that does not read lets us get. */
  answeredBytes = 0;
  readonly #body: Buffer[] = [];
  readonly #tunnel: Buffer[] = [];

  constructor(head: Head, number: number, connection: number) {
    const line = parseRequestLine(head.startLine);
    this.number = number;
    this.connection = connection;
    this.method = line.method;
    this.target = line.target;
    this.version = line.version;
    this.rawHeaders = head.rawHeaders;
    this.framing = requestFraming(head);
    this.asksToClose = asksToClose(line.version, head.rawHeaders);
  }

  /** Whether the whole body arrived, as its framing announced. */
  get complete(): boolean {
    return this.upload === 'complete';
  }

  /** The body as far as it has arrived, without transfer coding. */
  get body(): Buffer {
    return Buffer.concat(this.#body);
  }

  /** What the client sent after an upgrade. */
  get tunnel(): Buffer {
    return Buffer.concat(this.#tunnel);
  }

  /** First value of the header `name`, any case. */
  header(name: string): string | undefined {
    return headerValues(this.rawHeaders, name)[0];
  }

  /** All values of the header `name`, any case. */
  headers(name: string): string[] {
    return headerValues(this.rawHeaders, name);
  }

  text(): string {
    return this.body.toString('utf8');
  }

  json(): unknown {
    return JSON.parse(this.text());
  }

  /** For the connection that reads the request. */
  addBody(bytes: Buffer): void {
    this.#body.push(bytes);
  }

  /** For the connection that reads the request. */
  addTunnel(bytes: Buffer): void {
    this.#tunnel.push(bytes);
  }

  /** For the connection that reads the request. */
  endUpload(how: 'complete' | 'cut', trailers: readonly [string, string][] = []): void {
    if (this.upload !== 'open') return;
    this.upload = how;
    this.trailers = trailers;
    this.endedAt = performance.now();
  }
}
