/**
 * A request body as it comes from the client. It is kept as far as the replay limit allows, so that every attempt can
 * send it from its start, and streamed beyond that.
 */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import type { RequestBody } from '../core/request.ts';
import { drainUpload } from './drain-upload.ts';
import type { UploadWatch, WatchedUpload } from './upload-watch.ts';

/**
 * Larger bodies go to the upstream piece by piece, although they are here: whoever writes all at once learns nothing of
 * how the upload gets on.
 */
const ONE_WRITE_BYTES = 256 * 1024;

/** Replay memory of all exchanges together. */
export class ReplayMemory {
  /** Lowering it lets go of nothing, but keeps nothing more either. */
  limitBytes = Number.POSITIVE_INFINITY;
  #usedBytes = 0;

  /** @returns false when there is no room; nothing is reserved then */
  reserve(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }
}

export interface BodyLimits {
  /** Bytes kept for replay, at most. */
  readonly replayBytes: number;
  /** Bytes to wait for before the first attempt starts; a body that is complete by then is sent in one write. */
  readonly bufferFirstBytes: number;
  /** Largest body at all. */
  readonly maxBytes: number;
  /** Longest silence of the client while its body is wanted. */
  readonly idleMs: number;
}

export type BodyProblem = 'client-aborted' | 'too-large' | 'client-idle';

/** What an upstream's connection sees when the client broke the upload off: an abort, never a shorter request. */
const uploadBroken = (problem: BodyProblem): Error => new Error(`the upload ended early: ${problem}`);

export class ClientBody implements RequestBody, WatchedUpload {
  readonly #declaredLength: number | undefined;
  /** Set when the upload cannot be completed any more. */
  problem: BodyProblem | undefined;

  readonly #req: IncomingMessage;
  readonly #limits: BodyLimits;
  readonly #memory: ReplayMemory;
  readonly #clock: Clock;
  readonly #watch: UploadWatch;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #receivedBytes = 0;
  #ended = false;
  /** False once bytes were let go that a replay would need. */
  #complete = true;
  /** Some attempt has begun to read; one that never got a connection has not. */
  #consumed = false;
  #whole: Buffer | undefined;
  #reader: Readable | undefined;
  /** The current reader has been given what was kept; what comes now goes to it directly. */
  #reading = false;
  #onReady: (() => void) | undefined;
  /** Waiting for the whole body; nothing holds the client back meanwhile. */
  #onWhole: ((bytes: Uint8Array | null | undefined) => void)[] = [];
  #onProblem: ((problem: BodyProblem) => void) | undefined;
  #wantContinue: (() => void) | undefined;
  #lastChunkAt: number;

  constructor(
    req: IncomingMessage,
    length: number | undefined,
    options: {
      limits: BodyLimits;
      memory: ReplayMemory;
      clock: Clock;
      watch: UploadWatch;
      sendContinue?: () => void;
    },
  ) {
    this.#req = req;
    this.#declaredLength = length;
    this.#limits = options.limits;
    this.#memory = options.memory;
    this.#clock = options.clock;
    this.#watch = options.watch;
    this.#lastChunkAt = options.clock.now();
    this.#wantContinue = options.sendContinue;
    if (length !== undefined && length > options.limits.maxBytes) this.problem = 'too-large';
    else if (!options.sendContinue) this.#listen();
  }

  get length(): number | undefined {
    return this.#declaredLength ?? (this.#ended && this.#complete ? this.#keptBytes : undefined);
  }

  get replayable(): boolean {
    return this.#complete || !this.#consumed;
  }

  get shareable(): boolean {
    return this.#ended && this.#complete;
  }

  get waitingForClient(): boolean {
    return !this.#ended && !this.#req.isPaused();
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Resolves when the first attempt can start, or never will (`problem`). With `Expect: 100-continue` that is at once. */
  ready(): Promise<void> {
    if (this.#wantContinue || this.#ended || this.problem || this.#receivedBytes >= this.#firstBytes)
      return Promise.resolve();
    return new Promise((resolve) => {
      this.#onReady = resolve;
    });
  }

  /** Tells the exchange that the upload broke. At most once. */
  onProblem(listener: (problem: BodyProblem) => void): void {
    if (this.problem) listener(this.problem);
    else this.#onProblem = listener;
  }

  open(): Uint8Array | null | Readable {
    if (!this.shareable) return this.#openStream();
    return this.#keptBytes <= ONE_WRITE_BYTES ? this.#allBytes() : this.#openKept();
  }

  peek(): Uint8Array | null | undefined {
    return this.shareable ? this.#allBytes() : undefined;
  }

  whole(): Promise<Uint8Array | null | undefined> {
    if (this.shareable) return Promise.resolve(this.#allBytes());
    if (this.problem || !this.#complete) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#onWhole.push(resolve);
      this.#startAfterContinue();
      this.#lastChunkAt = this.#clock.now();
      this.#req.resume();
    });
  }

  /** The answer has begun: nothing will be sent again, so what was kept for that is let go. */
  forget(): void {
    this.#dropKept();
    this.#whole = undefined;
    this.#complete = false;
  }

  /**
   * The exchange has ended: frees what was kept.
   * @param delivered the client has its answer; else it is gone
   */
  release(delivered: boolean): void {
    if (!delivered) this.#fail('client-aborted');
    this.forget();
    this.#watch.delete(this);
    this.#onProblem = undefined;
    this.#tellWhole(undefined);
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.destroy();
    if (this.#ended) return;
    this.#req.off('data', this.#onData);
    drainUpload(this.#req, this.#clock);
  }

  #allBytes(): Uint8Array | null {
    const [first] = this.#kept;
    this.#whole ??= first && this.#kept.length === 1 ? first : Buffer.concat(this.#kept);
    return this.#whole.length === 0 ? null : this.#whole;
  }

  #tellWhole(bytes: Uint8Array | null | undefined): void {
    const listeners = this.#onWhole;
    this.#onWhole = [];
    for (const listener of listeners) listener(bytes);
  }

  get #firstBytes(): number {
    return Math.min(this.#limits.bufferFirstBytes, this.#limits.replayBytes);
  }

  #listen(): void {
    const req = this.#req;
    req.on('data', this.#onData);
    req.on('end', this.#onEnd);
    this.#watch.add(this, this.#limits.idleMs);
  }

  readonly #onData = (chunk: Buffer): void => {
    const reader = this.#activeReader;
    if (!reader && this.#consumed && this.#onWhole.length === 0) {
      // Between two attempts nobody takes it; to let go of it now would cut the body of the next.
      this.#req.pause();
      this.#req.unshift(chunk);
      return;
    }
    this.#receivedBytes += chunk.length;
    this.#lastChunkAt = this.#clock.now();
    if (this.#receivedBytes > this.#limits.maxBytes) return this.#fail('too-large');
    this.#keep(chunk);
    const holdsBack = reader ? !reader.push(chunk) : this.#receivedBytes >= this.#firstBytes;
    if (!reader && holdsBack) this.#becomeReady();
    if (holdsBack && this.#onWhole.length === 0) this.#req.pause();
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#watch.delete(this);
    if (this.#reading) this.#reader?.push(null);
    this.#becomeReady();
    this.#tellWhole(this.#complete ? this.#allBytes() : undefined);
  };

  /** The reader that what comes now goes to directly. */
  get #activeReader(): Readable | undefined {
    return this.#reading && this.#reader && !this.#reader.destroyed ? this.#reader : undefined;
  }

  #keep(chunk: Buffer): void {
    if (!this.#complete && this.#consumed) return;
    const fits =
      this.#keptBytes + chunk.length <= this.#limits.replayBytes && this.#memory.reserve(chunk.length);
    if (fits) this.#keptBytes += chunk.length;
    else {
      this.#complete = false;
      this.#tellWhole(undefined);
    }
    // Before the first attempt read the body, even what does not fit is needed once.
    if (fits || !this.#consumed) this.#kept.push(chunk);
    else this.#dropKept();
  }

  #dropKept(): void {
    this.#memory.release(this.#keptBytes);
    this.#keptBytes = 0;
    this.#kept = [];
  }

  /** All of it, piece by piece. Attempts that run side by side have a stream each, which ends with its attempt. */
  #openKept(): Readable {
    // What is let go of meanwhile must not be missing in what has begun.
    return Readable.from(this.#kept, { objectMode: false }).on('error', () => undefined);
  }

  #openStream(): Readable {
    this.#reader?.destroy();
    const replayable = this.replayable;
    const reader = new Readable({
      read: () => {
        if (this.#reader !== reader) return;
        // Nothing moves before the first read: until it has a connection, an attempt must not use the body up.
        if (!this.#reading) this.#startReading(reader);
        if (this.#ended) return;
        this.#lastChunkAt = this.#clock.now();
        this.#req.resume();
      },
    });
    reader.on('error', () => undefined);
    reader.on('close', () => {
      if (this.#reader === reader) this.#forgetReader();
    });
    this.#forgetReader();
    this.#reader = reader;
    if (this.problem) reader.destroy(uploadBroken(this.problem));
    // Never a part of it: nobody should ask, and whoever does gets nothing.
    else if (!replayable) reader.destroy(new Error('the body was not kept'));
    return reader;
  }

  #startReading(reader: Readable): void {
    this.#reading = true;
    this.#consumed = true;
    this.#startAfterContinue();
    for (const chunk of this.#kept) reader.push(chunk);
    if (!this.#complete) this.#dropKept();
    if (this.#ended) reader.push(null);
  }

  #forgetReader(): void {
    this.#reader = undefined;
    this.#reading = false;
    if (this.#consumed && this.#onWhole.length === 0) this.#req.pause();
  }

  #startAfterContinue(): void {
    const sendContinue = this.#wantContinue;
    if (!sendContinue) return;
    this.#wantContinue = undefined;
    sendContinue();
    this.#listen();
  }

  #fail(problem: BodyProblem): void {
    if (this.problem || this.#ended) return;
    this.problem = problem;
    this.#watch.delete(this);
    this.#reader?.destroy(uploadBroken(problem));
    this.#becomeReady();
    this.#tellWhole(undefined);
    this.#onProblem?.(problem);
  }

  #becomeReady(): void {
    this.#onReady?.();
    this.#onReady = undefined;
  }

  /** See {@link WatchedUpload}. */
  get lateAt(): number {
    return this.waitingForClient ? this.#lastChunkAt + this.#limits.idleMs : Number.POSITIVE_INFINITY;
  }

  onLate(): void {
    this.#fail('client-idle');
  }
}
