/**
 * An event stream that may consist of several: when one breaks off, the next goes on behind the last event that came whole.
 * It passes whole frames only, so that nobody gets one of them twice or in halves.
 */
import { BodyEnd } from '../core/body-end.ts';
import type { StreamReader } from '../core/dialect.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { BodySink, Completion, ResponseBody } from '../core/outcome.ts';
import { FrameEdges } from './frame-edges.ts';
import { SseFrames } from './sse-frames.ts';

/** A frame that grows beyond this is passed on in pieces; while it comes, nothing can be resumed. */
const MAX_FRAME_BYTES = 256 * 1024;

/** `later`: this try failed, another may not. `never`: nobody will go on with it. */
export type Reopened = ResponseBody | 'later' | 'never';

export interface ResumingInit {
  readonly first: ResponseBody;
  /** Knows when the answer is whole. */
  readonly reader: StreamReader;
  /** Tries in a row without an event that could be resumed from. */
  readonly maxTries: number;
  /** Waits as long as it should and asks for what comes after an event. */
  readonly reopen: (lastEventId: string, tryNumber: number) => Promise<Reopened>;
  /** How it ends when nothing goes on: as it broke off, or otherwise where the client has left meanwhile. */
  readonly giveUp: (completion: Completion) => Completion;
}

export class ResumingBody extends BodyEnd implements ResponseBody, BodySink {
  readonly #init: ResumingInit;
  #source: ResponseBody;
  #sink!: BodySink;
  #edges!: FrameEdges;
  #frames!: SseFrames;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** A frame is being passed on in pieces. */
  #inPieces = false;
  #lastEventId: string | undefined;
  #whole = false;
  #tries = 0;
  #bytes = 0;

  constructor(init: ResumingInit) {
    super();
    this.#init = init;
    this.#source = init.first;
    this.#startFrames();
  }

  // --- as the client's body

  pipe(sink: BodySink): void {
    this.#sink = sink;
    this.#source.pipe(this);
  }

  resume(): void {
    this.#source.resume();
  }

  discard(): void {
    this.#source.discard();
    this.settleEnd({ end: 'discarded', bytes: 0 });
  }

  // --- as the upstream's sink

  write(chunk: Uint8Array): boolean {
    this.#bytes += chunk.length;
    this.#frames.push(chunk);
    const edge = this.#edges.push(chunk);
    if (edge < 0) return this.#hold(chunk);
    const writable = this.#pass(chunk.subarray(0, edge));
    this.#inPieces = false;
    return edge === chunk.length ? writable : this.#hold(chunk.subarray(edge)) && writable;
  }

  end(trailers: HeaderList): void {
    this.#pass();
    this.#sink.end(trailers);
    this.settleEnd({ end: 'complete', bytes: this.#bytes });
  }

  abort(completion: Completion): void {
    const byUpstream = completion.end === 'upstream-aborted' || completion.end === 'timed-out';
    if (byUpstream && !this.#whole && !this.#inPieces && this.#lastEventId !== undefined)
      void this.#goOn(completion, this.#lastEventId);
    else this.#breakOff(completion);
  }

  async #goOn(completion: Completion, lastEventId: string): Promise<void> {
    this.#forgetHeld();
    this.#startFrames();
    while (this.#tries < this.#init.maxTries) {
      this.#tries += 1;
      const reopened = await this.#init.reopen(lastEventId, this.#tries);
      if (reopened === 'never') break;
      if (reopened === 'later') continue;
      this.#source = reopened;
      reopened.pipe(this);
      return;
    }
    this.#breakOff(this.#init.giveUp(completion));
  }

  #breakOff(completion: Completion): void {
    this.#pass();
    const all = { ...completion, bytes: this.#bytes };
    this.#sink.abort(all);
    this.settleEnd(all);
  }

  // --- frames

  #startFrames(): void {
    this.#edges = new FrameEdges();
    this.#frames = new SseFrames((event, data, id) => this.#event(event, data, id));
  }

  #event(event: string, data: string, id: string | undefined): void {
    if (this.#init.reader.read(event, data, id) === 'end') this.#whole = true;
    if (id === undefined || id === '') return;
    this.#lastEventId = id;
    this.#tries = 0;
  }

  #hold(chunk: Uint8Array): boolean {
    if (this.#inPieces) return this.#sink.write(chunk);
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes <= MAX_FRAME_BYTES) return true;
    this.#inPieces = true;
    return this.#pass();
  }

  #pass(last?: Uint8Array): boolean {
    const held = this.#held;
    this.#forgetHeld();
    let writable = true;
    for (const chunk of held) writable = this.#sink.write(chunk);
    return last ? this.#sink.write(last) : writable;
  }

  #forgetHeld(): void {
    this.#held = [];
    this.#heldBytes = 0;
  }
}
