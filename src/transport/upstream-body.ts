/**
 * The body of an upstream's response on its way to a sink. Until somebody decides where it goes it holds the little
 * that arrives with the head, and stops reading beyond that.
 */
import { BodyEnd } from '../core/body-end.ts';
import type { Clock } from '../core/clock.ts';
import type { Attempt } from '../core/exchange.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { BodySink, Completion, ResponseBody } from '../core/outcome.ts';

/** Bytes held before somebody decides; one socket read. */
const HOLD_LIMIT_BYTES = 64 * 1024;
/** An unwanted rest up to this size is read to its end, which saves the connection. */
const DRAIN_LIMIT_BYTES = 64 * 1024;
const DRAIN_LIMIT_MS = 1_000;

/** What the body needs of its connection. */
export interface BodySource {
  pause(): void;
  resume(): void;
  /** Gives up the response and its connection. */
  abort(): void;
}

export class UpstreamBody extends BodyEnd implements ResponseBody {
  readonly #attempt: Attempt;
  readonly #source: BodySource;
  readonly #clock: Clock;
  #sink: BodySink | undefined;
  #held: Uint8Array[] = [];
  #bytes = 0;
  #discarded = false;
  #discardedBytes = 0;
  #stopDraining: (() => void) | undefined;
  /** Set when the upstream's part is over; delivered when there is a sink. */
  #ending: { readonly completion: Completion; readonly trailers: HeaderList } | undefined;

  constructor(attempt: Attempt, source: BodySource, clock: Clock) {
    super();
    this.#attempt = attempt;
    this.#source = source;
    this.#clock = clock;
  }

  /** A chunk from the upstream. */
  push(chunk: Uint8Array): void {
    // The client library brings one after every pause.
    if (chunk.length === 0) return;
    this.#bytes += chunk.length;
    this.#attempt.receivedBytes = this.#bytes;
    this.#attempt.lastActivityAt = this.#clock.now();
    if (this.#discarded) {
      this.#discardedBytes += chunk.length;
      if (this.#discardedBytes > DRAIN_LIMIT_BYTES) this.#giveUp();
    } else if (this.#sink) {
      if (!this.#sink.write(chunk)) this.#pause();
    } else {
      this.#held.push(chunk);
      if (this.#bytes >= HOLD_LIMIT_BYTES) this.#pause();
    }
  }

  /** The upstream's whole body has come. */
  finish(trailers: HeaderList): void {
    this.#end({ end: 'complete', bytes: this.#bytes }, trailers);
  }

  /** No more will come, although more should have. */
  fail(end: Exclude<Completion['end'], 'complete'>, reason: NonNullable<Completion['reason']>): void {
    this.#end({ end, reason, bytes: this.#bytes }, []);
  }

  pipe(sink: BodySink): void {
    this.#sink = sink;
    const held = this.#held;
    this.#held = [];
    let writable = true;
    for (const chunk of held) writable = sink.write(chunk);
    if (this.#ending) this.#deliverEnd(sink, this.#ending.completion, this.#ending.trailers);
    else if (!writable) this.#pause();
    else if (this.#attempt.paused) this.resume();
  }

  resume(): void {
    if (!this.#attempt.paused || this.#ending) return;
    this.#attempt.paused = false;
    this.#attempt.lastActivityAt = this.#clock.now();
    this.#source.resume();
  }

  discard(): void {
    if (this.#discarded || this.#sink) return;
    this.#discarded = true;
    this.#held = [];
    this.settleEnd({ end: 'discarded', bytes: this.#bytes });
    if (this.#ending) return;
    this.resume();
    const timer = this.#clock.setBackgroundTimer(DRAIN_LIMIT_MS, () => {
      if (!this.#ending) this.#giveUp();
    });
    this.#stopDraining = () => this.#clock.clearTimer(timer);
  }

  /** The rest is too large, or takes too long: the connection is not worth it. */
  #giveUp(): void {
    this.#stopDraining?.();
    this.#source.abort();
  }

  #pause(): void {
    if (this.#attempt.paused || this.#ending) return;
    this.#attempt.paused = true;
    this.#source.pause();
  }

  #end(completion: Completion, trailers: HeaderList): void {
    if (this.#ending) return;
    this.#ending = { completion, trailers };
    this.#attempt.phase = 'ended';
    this.#stopDraining?.();
    if (this.#discarded) return;
    if (this.#sink) this.#deliverEnd(this.#sink, completion, trailers);
    else if (completion.end !== 'complete') this.settleEnd(completion);
  }

  #deliverEnd(sink: BodySink, completion: Completion, trailers: HeaderList): void {
    if (completion.end === 'complete') sink.end(trailers);
    else sink.abort(completion);
    this.settleEnd(completion);
  }
}
