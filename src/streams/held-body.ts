/**
 * A response body that can be held back until somebody knows what it is, and that can end in another way than its
 * upstream ended it. Between the two it passes every chunk on as it is.
 */
import { BodyEnd } from '../core/body-end.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { BodySink, Completion, ResponseBody } from '../core/outcome.ts';

/** Watches a body pass. */
export interface BodyWatcher {
  chunk(bytes: Uint8Array): void;
  /** The upstream's part is over. Must lead to `close`, unless the body is not wanted any more. */
  over(completion: Completion, trailers: HeaderList): void;
  /** The body was thrown away by those who got it. */
  discarded(): void;
}

export interface Closing {
  readonly completion: Completion;
  /** The client gets an end that looks like one; else its connection breaks. */
  readonly clean: boolean;
  /** Written before the end. */
  readonly last?: Uint8Array;
  readonly trailers?: HeaderList;
}

export class HeldBody extends BodyEnd implements ResponseBody, BodySink {
  readonly #upstream: ResponseBody;
  readonly #watcher: BodyWatcher;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #bytes = 0;
  #sink: BodySink | undefined;
  #closing: Closing | undefined;
  #dropped = false;
  #pausedByUs = false;

  readonly #pauseBytes: number;

  /** @param pauseBytes more than this does not pile up before somebody takes it */
  constructor(upstream: ResponseBody, watcher: BodyWatcher, pauseBytes: number) {
    super();
    this.#upstream = upstream;
    this.#watcher = watcher;
    this.#pauseBytes = pauseBytes;
  }

  /** Starts to read. What has arrived already is read synchronously. */
  start(): void {
    this.#upstream.pipe(this);
  }

  /** Bytes that came from the upstream so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** All that is held. */
  held(): readonly Uint8Array[] {
    return this.#held;
  }

  /** Bytes written by the sidecar itself, between two frames of a stream. */
  insert(bytes: Uint8Array): void {
    if (this.#sink && !this.#closing) this.#sink.write(bytes);
  }

  /** How it ends for the client. The first call counts. */
  close(closing: Closing): void {
    if (this.#closing || this.#dropped) return;
    this.#closing = closing;
    if (this.#sink) this.#deliverEnd(this.#sink, closing);
    else if (closing.completion.end !== 'complete') this.settleEnd(closing.completion);
  }

  /** Lets go of everything; what still comes is ignored. */
  drop(): void {
    this.#dropped = true;
    this.#held = [];
    if (this.#pausedByUs) this.#upstream.resume();
  }

  // --- as the upstream's sink

  write(chunk: Uint8Array): boolean {
    if (this.#dropped) return true;
    this.#bytes += chunk.length;
    const sink = this.#sink;
    if (sink) {
      // First on its way, then looked at: the reader must not delay it.
      const writable = sink.write(chunk);
      this.#watcher.chunk(chunk);
      return writable;
    }
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    this.#watcher.chunk(chunk);
    this.#pausedByUs = !this.#sink && !this.#dropped && this.#heldBytes >= this.#pauseBytes;
    return !this.#pausedByUs;
  }

  end(trailers: HeaderList): void {
    if (!this.#dropped) this.#watcher.over({ end: 'complete', bytes: this.#bytes }, trailers);
  }

  abort(completion: Completion): void {
    if (!this.#dropped) this.#watcher.over(completion, []);
  }

  // --- as the client's body

  pipe(sink: BodySink): void {
    this.#sink = sink;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    let writable = true;
    for (const chunk of held) writable = sink.write(chunk);
    if (this.#closing) this.#deliverEnd(sink, this.#closing);
    else if (writable && this.#pausedByUs) this.resume();
  }

  resume(): void {
    this.#pausedByUs = false;
    this.#upstream.resume();
  }

  discard(): void {
    if (this.#sink || this.#dropped) return;
    this.drop();
    this.settleEnd({ end: 'discarded', bytes: this.#bytes });
    this.#watcher.discarded();
  }

  #deliverEnd(sink: BodySink, { completion, clean, last, trailers }: Closing): void {
    if (clean) {
      if (last) sink.write(last);
      sink.end(trailers ?? []);
    } else sink.abort(completion);
    this.settleEnd(completion);
  }
}
