/** Reads requests off one connection, one at a time, and runs the script's step for each. */
import { BodyDecoder } from '../wire/body-decoder.ts';
import { takeHead, type Head } from '../wire/head.ts';
import { WireError } from '../wire/headers.ts';
import { Peer, type Ending, type PeerSocket } from '../wire/peer.ts';
import type { RecordedRequest } from './recorded-request.ts';
import type { RequestStep } from './step.ts';
import { UpstreamExchange } from './upstream-exchange.ts';

/** The upstream as its connections see it. */
export interface ConnectionHost {
  readonly tolerateHalfClose: boolean;
  /** @throws WireError when the head is no request */
  recordRequest(head: Head, connection: number): RecordedRequest;
  stepFor(request: RecordedRequest): RequestStep;
  exchangeEnded(): void;
  clientLeft(request: RecordedRequest, how: 'fin' | 'reset'): void;
  /** Not HTTP, or ambiguous: the bytes that could not be read. */
  malformed(error: Error, bytes: Buffer, connection: number): void;
  scriptFailed(error: unknown): void;
  changed(): void;
}

/** One request and its answer in progress. */
interface Current {
  readonly request: RecordedRequest;
  readonly step: RequestStep;
  readonly body: BodyDecoder;
  started: boolean;
  answered: boolean;
}

export class UpstreamConnection {
  readonly number: number;
  readonly peer: Peer;
  readonly #host: ConnectionHost;
  #buffered: Buffer = Buffer.alloc(0);
  #refused = false;
  #current: Current | undefined;
  #intercept: (() => void) | undefined;
  #tunnel: ((bytes: Buffer) => void) | undefined;

  constructor(number: number, sockets: PeerSocket, host: ConnectionHost) {
    this.number = number;
    this.#host = host;
    this.peer = new Peer(sockets, {
      bytes: (bytes) => this.#onBytes(bytes),
      ended: (how) => this.#onEnded(how),
    });
  }

  #onBytes(bytes: Buffer): void {
    const intercept = this.#intercept;
    if (intercept && this.#current === undefined) {
      this.#intercept = undefined;
      intercept();
      return;
    }
    if (this.#tunnel) this.#tunnel(bytes);
    else this.#buffer(bytes);
    this.#host.changed();
  }

  #buffer(bytes: Buffer): void {
    if (this.#refused) return;
    this.#buffered = Buffer.concat([this.#buffered, bytes]);
    try {
      this.#advance();
    } catch (error) {
      this.#refuse(error as Error);
    }
  }

  #advance(): void {
    while (this.#buffered.length > 0) {
      if (this.#current === undefined) {
        // Having closed our half we cannot answer another request.
        if (!this.peer.writable) return void (this.#buffered = Buffer.alloc(0));
        const taken = takeHead(this.#buffered);
        if (taken === undefined) return refuseOtherProtocols(this.#buffered);
        this.#begin(taken.head, taken.rest);
      } else if (this.#current.request.upload === 'open') {
        this.#buffered = this.#current.body.push(this.#buffered);
        this.#endBodyIfDone(this.#current);
      } else {
        return;
      }
    }
  }

  #begin(head: Head, rest: Buffer): void {
    const request = this.#host.recordRequest(head, this.number);
    this.#buffered = rest;
    const step = this.#chooseStep(request);
    const body = new BodyDecoder(request.framing, (bytes) => request.addBody(bytes));
    const current: Current = { request, step, body, started: false, answered: false };
    this.#current = current;
    if (step.startsAt === 'head') this.#start(current);
    this.#endBodyIfDone(current);
    this.#host.changed();
  }

  #chooseStep(request: RecordedRequest): RequestStep {
    try {
      return this.#host.stepFor(request);
    } catch (error) {
      this.#host.scriptFailed(error);
      return { name: 'script failed', startsAt: 'head', run: (exchange) => exchange.reset() };
    }
  }

  #endBodyIfDone(current: Current): void {
    if (!current.body.done) return;
    current.request.endUpload('complete', current.body.trailers);
    if (!current.started) this.#start(current);
    else this.#nextIfOver(current);
  }

  #start(current: Current): void {
    current.started = true;
    const exchange = new UpstreamExchange(current.request, this.peer, {
      interceptNext: (handler) => (this.#intercept = handler),
      tunnel: (onBytes) => this.#startTunnel(current.request, onBytes),
    });
    void this.#run(current, exchange);
  }

  async #run(current: Current, exchange: UpstreamExchange): Promise<void> {
    try {
      await current.step.run(exchange);
    } catch (error) {
      this.#host.scriptFailed(error);
      this.peer.reset();
    }
    if (current.answered) return;
    current.answered = true;
    this.#nextIfOver(current);
    this.#host.exchangeEnded();
  }

  #nextIfOver(current: Current): void {
    if (!current.answered || current.request.upload === 'open' || this.#current !== current) return;
    if (this.#tunnel) return;
    this.#current = undefined;
    if (current.request.asksToClose || this.peer.ending === 'fin') this.peer.finish();
    if (this.#buffered.length > 0) this.#buffer(Buffer.alloc(0));
  }

  #startTunnel(request: RecordedRequest, onBytes: (bytes: Buffer) => void): void {
    this.#tunnel = (bytes) => {
      request.addTunnel(bytes);
      onBytes(bytes);
    };
    const early = this.#buffered;
    this.#buffered = Buffer.alloc(0);
    if (early.length > 0) this.#tunnel(early);
  }

  /** Answers 400 and hangs up: what was sent has no single meaning. */
  #refuse(error: Error): void {
    this.#refused = true;
    this.#host.malformed(error, this.#buffered, this.number);
    this.#buffered = Buffer.alloc(0);
    void this.peer.send('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    this.peer.finish();
  }

  #onEnded(how: Ending): void {
    const current = this.#current;
    const tolerated = how === 'fin' && this.#host.tolerateHalfClose && current?.request.upload === 'complete';
    if (tolerated) return;
    current?.request.endUpload('cut');
    if (current && how !== 'ours' && this.#unanswered(current)) this.#host.clientLeft(current.request, how);
    if (current) this.#closeExchange(current);
    this.peer.destroy();
    this.#host.changed();
  }

  #unanswered(current: Current): boolean {
    return !current.answered && !this.peer.finished && this.#tunnel === undefined;
  }

  /** A step that never started will not end by itself. */
  #closeExchange(current: Current): void {
    if (current.started || current.answered) return;
    current.answered = true;
    this.#host.exchangeEnded();
  }
}

/** A TLS handshake on a plain port is refused at its first byte, as real servers do, instead of waiting for a head. */
function refuseOtherProtocols(bytes: Buffer): void {
  const first = bytes[0] ?? 0;
  if (first <= 0x20 || first >= 0x7f) throw new WireError(`not HTTP: starts with byte ${first}`);
}
