/** One attempt on the wire: turns the HTTP client's callbacks into one outcome and one body. */
import type { ClientHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import { endOfCancel } from '../core/body-end.ts';
import type { Cancellable, CancelReason } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import type { Attempt } from '../core/exchange.ts';
import { endToEndHeaders, hasHeader, headerValues } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { FailureOutcome, Outcome, ResponseHead } from '../core/outcome.ts';
import { reasonOfCancel } from '../core/reasons.ts';
import type { Reason } from '../core/reasons.ts';
import { verdictOf } from '../core/verdict.ts';
import type { ConnectionAware, ConnectionWatch } from './connection-watch.ts';
import { detailOf, isClosedByPeer, reasonOf } from './network-error.ts';
import { TunnelBody } from './tunnel-body.ts';
import { UpstreamBody } from './upstream-body.ts';
import type { BodySource } from './upstream-body.ts';

type RawHeaders = Dispatcher.DispatchController['rawHeaders'];

/** What a cancelled request fails with; never seen outside this file. */
const CANCELLED = new Error('cancelled');

/** The client library reads reason phrases as UTF-8, after which odd bytes cannot be told any more; nobody needs them. */
const ODD_PHRASE = /[^\t\x20-\x7e]/;

const headOf = (status: number, statusText: string, headers: HeaderList): ResponseHead => ({
  status,
  statusText: ODD_PHRASE.test(statusText) ? '' : statusText,
  headers,
});

/** To each other part it is what that part needs, so that a call is one object and not one with many closures. */
export class Call implements Dispatcher.DispatchHandler, ConnectionAware, Cancellable, BodySource {
  readonly outcome: Promise<Outcome>;
  readonly #attempt: Attempt;
  readonly #clock: Clock;
  readonly #watch: ConnectionWatch;
  #resolve!: (outcome: Outcome) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #body: UpstreamBody | undefined;
  #socket: Socket | undefined;
  #stream: ClientHttp2Stream | undefined;
  #upload: Readable | undefined;
  #reused = false;
  #started = false;
  #answering = false;
  #closeDelimited = false;
  #settled = false;

  constructor(attempt: Attempt, clock: Clock, watch: ConnectionWatch) {
    this.#attempt = attempt;
    this.#clock = clock;
    this.#watch = watch;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    attempt.cancellation.onCancel(this);
  }

  /**
   * Stands between an upload and an HTTP/2 stream. An error there makes undici close the stream in a way that never
   * resets it, and the upstream waits for the rest; a bare close makes Node destroy it, which does.
   */
  uploading(body: Readable): Readable {
    const upload = new Readable({ read: () => void body.resume() });
    // Paused: until there is a connection, nothing may be taken.
    body.pause();
    body.on('data', (chunk: Buffer) => {
      if (!upload.push(chunk)) body.pause();
    });
    body.once('end', () => upload.push(null));
    body.once('close', () => {
      if (!body.readableEnded) upload.destroy();
    });
    upload.once('close', () => body.destroy());
    this.#upload = upload;
    return upload;
  }

  // --- undici's callbacks, in the order in which they come

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // A cancelled request that was still queued: failing it here spares the connection.
    if (this.#settled) throw CANCELLED;
    this.#controller = controller;
    this.#started = true;
    this.#progress('sending');
    this.#watch.starting(this);
  }

  onConnection(socket: Socket, reused: boolean): void {
    this.#socket = socket;
    this.#reused = reused;
  }

  onStream(stream: ClientHttp2Stream): void {
    this.#stream = stream;
  }

  onBodySent(): void {
    this.#attempt.lastActivityAt = this.#clock.now();
  }

  onRequestSent(): void {
    const socket = this.#socket;
    if (socket?.writableNeedDrain) socket.once('drain', () => this.#allSent());
    else this.#allSent();
  }

  /** The last byte has left the process: from now on, silence is the upstream's. */
  #allSent(): void {
    if (this.#attempt.phase === 'sending') this.#progress('waiting');
  }

  onResponseStarted(): void {
    this.#answering = true;
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _: unknown,
    statusText = '',
  ): void {
    const raw = rawHeaderList(controller.rawHeaders);
    if (hasUnclearFraming(raw) || status < 100) return this.#refuseHead(controller);
    if (status < 200) {
      this.#attempt.exchange.onInformational?.(status, endToEndHeaders(raw));
      return;
    }
    this.#progress('receiving');
    this.#closeDelimited = isCloseDelimited(controller.rawHeaders, raw);
    this.#body = new UpstreamBody(this.#attempt, this, this.#clock);
    const head = headOf(status, statusText, endToEndHeaders(raw));
    this.#settle({
      kind: 'response',
      from: 'upstream',
      head,
      body: this.#body,
      verdict: verdictOf('ok'),
      attempt: this.#attempt.number,
    });
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#body?.push(chunk);
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    this.#attempt.cancellation.off(this);
    if (this.#isCut()) this.#body?.fail('upstream-aborted', 'response_incomplete');
    else this.#body?.finish(trailersOf(controller.rawTrailers));
  }

  onResponseError(_: unknown, error: Error): void {
    this.#attempt.cancellation.off(this);
    const body = this.#body;
    if (body) {
      if (error !== CANCELLED) body.fail('upstream-aborted', bodyReason(this.#reasonOf(error)));
      return;
    }
    this.#attempt.phase = 'ended';
    const failure = this.#failure(this.#reasonOf(error), detailOf(error), this.#isStale(error));
    this.#settle(streamErrorOf(error) === REFUSED_STREAM ? { ...failure, requestSent: 'no' } : failure);
  }

  onRequestUpgrade(
    controller: Dispatcher.DispatchController,
    status: number,
    _: unknown,
    socket: Duplex,
  ): void {
    this.#attempt.cancellation.off(this);
    const head = headOf(status, 'Switching Protocols', rawHeaderList(controller.rawHeaders));
    const body = new TunnelBody(this.#attempt, socket);
    this.#progress('receiving');
    this.#settle({
      kind: 'response',
      from: 'upstream',
      head,
      body,
      verdict: verdictOf('ok'),
      attempt: this.#attempt.number,
      tunnel: socket,
    });
  }

  /** Ends that the client library takes for good: what came is a part at best. */
  #isCut(): boolean {
    // Where only the close ends the body, a reset ends it too.
    if (this.#closeDelimited && this.#socket?.errored) return true;
    // To Node, a stream that was reset as cancelled has ended without an error.
    return (this.#stream?.rstCode ?? NO_ERROR) !== NO_ERROR;
  }

  // --- our side

  /** The attempt was cancelled. */
  cancel(why: CancelReason): void {
    const reason = reasonOfCancel(why);
    this.#attempt.phase = 'ended';
    if (this.#body) this.#body.fail(endOfCancel(why), reason);
    else this.#settle(this.#failure(reason, '', false));
    this.abort();
  }

  /** The client library lets some messages pass whose end nobody can know; relaying them would be guessing. */
  #refuseHead(controller: Dispatcher.DispatchController): void {
    this.#attempt.cancellation.off(this);
    this.#attempt.phase = 'ended';
    this.#settle(this.#failure('protocol_error', 'the response head leaves its framing unclear', false));
    controller.abort(CANCELLED);
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  abort(): void {
    if (this.#upload && !this.#upload.readableEnded) this.#upload.destroy();
    else this.#controller?.abort(CANCELLED);
  }

  #progress(phase: Attempt['phase']): void {
    const now = this.#clock.now();
    this.#attempt.phase = phase;
    this.#attempt.lastActivityAt = now;
    if (phase === 'waiting') this.#attempt.sentAt = now;
    else if (phase === 'receiving') this.#attempt.headAt = now;
  }

  #reasonOf(error: Error): Reason {
    return reasonOf(error, {
      started: this.#started,
      answering: this.#answering,
      head: this.#body !== undefined,
    });
  }

  /** The upstream closed an idle connection at the moment we chose it: it has most likely not read the request. */
  #isStale(error: Error): boolean {
    const connectionClosed = isClosedByPeer(error) && streamErrorOf(error) === undefined;
    return this.#reused && !this.#answering && connectionClosed;
  }

  #failure(reason: Reason, detail: string, staleConnection: boolean): FailureOutcome {
    const requestSent = this.#started ? 'maybe' : 'no';
    return {
      kind: 'failure',
      reason,
      requestSent,
      staleConnection,
      verdict: verdictOf('transient'),
      attempt: this.#attempt.number,
      detail,
    };
  }

  #settle(outcome: Outcome): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#resolve(outcome);
  }
}

/** Any Transfer-Encoding but a single `chunked` (RFC 9112 §6.3): the length of the body would be anyone's guess. */
function hasUnclearFraming(headers: HeaderList): boolean {
  if (!hasHeader(headers, 'transfer-encoding')) return false;
  const codings = headerValues(headers, 'transfer-encoding');
  return codings.length > 1 || (codings.length === 1 && codings[0]?.trim().toLowerCase() !== 'chunked');
}

/** Without framing, only the close ends an HTTP/1.1 body. HTTP/2, whose headers come as an object, ends every body itself. */
function isCloseDelimited(raw: RawHeaders, headers: HeaderList): boolean {
  return (
    Array.isArray(raw) && !hasHeader(headers, 'content-length') && !hasHeader(headers, 'transfer-encoding')
  );
}

/** HTTP/2: nothing is wrong with the stream (RFC 9113 §7). */
const NO_ERROR = 0;

/** HTTP/2: the upstream says that it has not processed the request (RFC 9113 §8.7). */
const REFUSED_STREAM = 7;

/** The code of an HTTP/2 stream that was reset, while its connection lives on; undefined for any other error. */
function streamErrorOf(error: Error): number | undefined {
  const { http2ErrorCode } = error as { http2ErrorCode?: unknown };
  return typeof http2ErrorCode === 'number' ? http2ErrorCode : undefined;
}

/** Whatever the network called it, after the head it is an answer that broke off. */
function bodyReason(reason: Reason): Reason {
  return reason === 'connection_reset' || reason === 'client_aborted' ? 'response_incomplete' : reason;
}

/** HTTP/1.1 headers come as buffers, HTTP/2 ones as an object; both become a list of latin1 strings. */
function rawHeaderList(raw: RawHeaders): string[] {
  const list: string[] = [];
  if (Array.isArray(raw)) {
    for (const item of raw) list.push(typeof item === 'string' ? item : item.toString('latin1'));
  } else if (raw) {
    for (const [name, value] of Object.entries(raw)) {
      if (name.startsWith(':')) continue;
      for (const one of Array.isArray(value) ? value : [value ?? '']) list.push(name, String(one));
    }
  }
  return list;
}

/** Fields that must not come after the body because they decide framing or access (RFC 9110 §6.5.1). */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'content-length',
  'host',
  'set-cookie',
  'content-encoding',
  'content-type',
  'authorization',
  'trailer',
]);

const trailersOf = (raw: RawHeaders): HeaderList => {
  const list = rawHeaderList(raw);
  return list.length === 0 ? list : endToEndHeaders(list, NOT_IN_TRAILERS);
};
