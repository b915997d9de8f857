/**
 * One response body for many readers: it is recorded from its beginning, so that whoever joins late gets what has come,
 * then the rest. A reader that is slow, or leaves, disturbs no other.
 */
import { BodyEnd } from '../core/body-end.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { BodySink, Completion, ResponseBody } from '../core/outcome.ts';
import { Patience } from './patience.ts';
import { SharedReader } from './shared-reader.ts';

/** Where the room for recordings comes from. */
export interface RecordingMemory {
  /** @returns false when there is no room; nothing is reserved then */
  reserve(bytes: number): boolean;
  release(bytes: number): void;
}

export interface SharedBodyOptions {
  readonly clock: Clock;
  /** Largest recording, see `costOf`. A longer body goes on to its present readers, but nobody can join it any more. */
  readonly maxBytes: number;
  /** Shared by all recordings. Where it has no more room, it is as if `maxBytes` had been passed. Default: unbounded. */
  readonly memory?: RecordingMemory;
  /** Bytes by which a reader may lag once there is no recording; the source waits until it is half of that. Default: 64 KiB. */
  readonly lagBytes?: number;
  /**
   * Once there is no recording, a reader that has made others wait this long is cut off, visibly; short waits add up unless
   * there is as much time between them. Default: 10 s.
   */
  readonly stallMs?: number;
  /**
   * The last reader has left before the end. The body reads on by itself, without waiting for anybody; its owner may
   * cancel what brings it instead. Called each time that happens, for a recorded body may be joined again. `last`: how
   * that reader left.
   */
  readonly onAbandoned?: (last: Completion) => void;
}

/** What has come so far; all of it once `SharedBody.completion` has settled. */
export interface Recording {
  /** As they came. */
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
  readonly trailers: HeaderList;
}

/** What ends a reader's delivery. How the body ended is told by `SharedBody.onEnd`: one that broke off may look whole. */
export type SharedEnding = { readonly trailers: HeaderList } | { readonly broken: Completion };

const DEFAULT_LAG_BYTES = 64 * 1024;
const DEFAULT_STALL_MS = 10_000;

/** What a chunk takes besides its bytes, about: many small ones must not cost more than is counted. */
const CHUNK_OVERHEAD_BYTES = 64;

/** What keeping a chunk counts. */
export const costOf = (chunk: Uint8Array): number => chunk.length + CHUNK_OVERHEAD_BYTES;

/**
 * While it records, nothing holds the source back: the recording is the buffer of every reader. Beyond that the source
 * waits for the slowest reader once that lags by more than `lagBytes`. Whoever shares a body calls `start` once, and
 * `forget` when it offers it to nobody any more.
 */
export class SharedBody extends BodyEnd implements BodySink {
  readonly #source: ResponseBody;
  readonly #options: SharedBodyOptions;
  readonly #readers = new Set<SharedReader>();
  /** Chunks from number `#first` on. */
  #chunks: Uint8Array[] = [];
  #first = 0;
  #keptBytes = 0;
  #bytes = 0;
  #recording = true;
  /** Memory is reserved for the chunks before this number. */
  #reservedTo = 0;
  #started = false;
  #sourcePaused = false;
  readonly #patience: Patience;
  #ending: SharedEnding | undefined;

  /** Nothing is read before `start`. */
  constructor(source: ResponseBody, options: SharedBodyOptions) {
    super();
    this.#source = source;
    this.#options = options;
    const { clock, stallMs = DEFAULT_STALL_MS } = options;
    this.#patience = new Patience(clock, stallMs, () => this.#cutLaggards());
  }

  /** Begins to read the source. Readers that joined before get all of it, however long it is. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#source.pipe(this);
    this.#source.onEnd((completion) => {
      for (const reader of this.#readers) reader.told(completion);
      this.settleEnd(completion);
    });
  }

  /**
   * A body of one's own: what has come so far, then the rest, with the same ending. It must be piped or discarded, like
   * any other.
   * @param cancellation its reader leaves with it, and is told why
   * @returns undefined when the beginning is not there any more
   */
  join(cancellation?: Cancellation): ResponseBody | undefined {
    if (!this.#recording) return undefined;
    const reader = new SharedReader(this, cancellation);
    this.#readers.add(reader);
    reader.attach();
    return reader;
  }

  /** Readers that have not come to their end. */
  get readers(): number {
    return this.#readers.size;
  }

  /** Undefined once something is missing: it was too long, there was no memory, or it was forgotten. */
  recording(): Recording | undefined {
    if (!this.#recording) return undefined;
    const trailers = this.#ending && 'trailers' in this.#ending ? this.#ending.trailers : [];
    return { chunks: this.#chunks, bytes: this.#bytes, trailers };
  }

  /** Lets go of the recording as soon as the present readers have it. Nobody can join any more. */
  forget(): void {
    if (!this.#recording) return;
    this.#recording = false;
    this.#caughtUp();
  }

  // --- as the source's sink

  write(chunk: Uint8Array): boolean {
    this.#bytes += chunk.length;
    this.#keep(chunk);
    for (const reader of this.#readers) reader.pump();
    this.#trim();
    this.#sourcePaused = this.#mustWait();
    this.#watchWaiting();
    return !this.#sourcePaused;
  }

  end(trailers: HeaderList): void {
    this.#over({ trailers });
  }

  abort(completion: Completion): void {
    this.#over({ broken: completion });
  }

  // --- for the readers

  /** The chunk of that number; undefined where it has not come. */
  chunkAt(number: number): Uint8Array | undefined {
    return this.#chunks[number - this.#first];
  }

  get ending(): SharedEnding | undefined {
    return this.#ending;
  }

  /** A reader has read on after a pause. */
  progressed(): void {
    if (!this.#recording) this.#caughtUp();
  }

  /** A reader has come to its end; `early` says how, where that was before the body's. */
  left(reader: SharedReader, early?: Completion): void {
    if (!this.#readers.delete(reader)) return;
    if (!this.#recording) this.#caughtUp();
    if (early && this.#readers.size === 0 && !this.#ending) this.#options.onAbandoned?.(early);
  }

  // --- the recording

  #keep(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    const cost = costOf(chunk);
    this.#keptBytes += cost;
    if (!this.#recording) return;
    const { maxBytes, memory } = this.#options;
    if (this.#keptBytes > maxBytes || memory?.reserve(cost) === false) {
      this.#recording = false;
      return;
    }
    this.#reservedTo += 1;
  }

  /** Lets go of what every reader has; only where there is no recording any more. */
  #trim(): void {
    if (this.#recording) return;
    const passed = this.#slowest() - this.#first;
    if (passed === 0) return;
    let released = 0;
    for (const chunk of this.#chunks.splice(0, passed)) {
      const cost = costOf(chunk);
      this.#keptBytes -= cost;
      if (this.#first < this.#reservedTo) released += cost;
      this.#first += 1;
    }
    if (released > 0) this.#options.memory?.release(released);
  }

  #slowest(): number {
    let slowest = this.#first + this.#chunks.length;
    for (const { position } of this.#readers) slowest = Math.min(slowest, position);
    return slowest;
  }

  // --- readers that lag

  #mustWait(): boolean {
    return !this.#recording && !this.#ending && this.#keptBytes > this.#lagBytes;
  }

  get #lagBytes(): number {
    return this.#options.lagBytes ?? DEFAULT_LAG_BYTES;
  }

  #caughtUp(): void {
    this.#trim();
    const goesOn = this.#sourcePaused && this.#keptBytes <= this.#lagBytes / 2;
    if (goesOn) this.#sourcePaused = false;
    this.#watchWaiting();
    if (goesOn) this.#source.resume();
  }

  /** Bounds how long one reader can hold up others, who have everything. A lone reader may take its time. */
  #watchWaiting(): void {
    this.#patience.wait(this.#sourcePaused && this.#someoneHasAll());
  }

  #someoneHasAll(): boolean {
    const end = this.#first + this.#chunks.length;
    for (const { position } of this.#readers) if (position === end) return true;
    return false;
  }

  #cutLaggards(): void {
    const end = this.#first + this.#chunks.length;
    const bearable = this.#lagBytes / 2;
    const laggards = [...this.#readers].filter(
      ({ position }) => this.#bytesBetween(position, end) > bearable,
    );
    if (laggards.length < this.#readers.size) for (const reader of laggards) reader.cut();
    this.#watchWaiting();
  }

  #bytesBetween(from: number, to: number): number {
    let bytes = 0;
    for (let number = from; number < to; number++) {
      const chunk = this.chunkAt(number);
      if (chunk) bytes += costOf(chunk);
    }
    return bytes;
  }

  #over(ending: SharedEnding): void {
    if (this.#ending) return;
    this.#ending = ending;
    this.#sourcePaused = false;
    this.#patience.wait(false);
    for (const reader of this.#readers) reader.pump();
    this.#trim();
  }
}
