/** A source that keeps what a paused reader does not want yet, and readers that pause when they are told to. */
import { BodyEnd } from '../../src/core/body-end.ts';
import type { HeaderList } from '../../src/core/header-list.ts';
import type { BodySink, Completion, ResponseBody } from '../../src/core/outcome.ts';

/** As the transport's bodies are: it pushes while it may, and tells its end after having delivered it. */
export class PacedSource extends BodyEnd implements ResponseBody {
  paused = false;
  discarded = false;
  /** Chunks that the sink has got. */
  delivered = 0;
  readonly #waiting: Uint8Array[] = [];
  #sink: BodySink | undefined;
  #bytes = 0;
  #ending: { clean: boolean; completion: Completion; trailers: HeaderList } | undefined;

  pipe(sink: BodySink): void {
    this.#sink = sink;
    this.#pump();
  }

  resume(): void {
    this.paused = false;
    this.#pump();
  }

  discard(): void {
    this.discarded = true;
    this.settleEnd({ end: 'discarded', bytes: 0 });
  }

  push(...chunks: readonly (string | Uint8Array)[]): void {
    for (const chunk of chunks) this.#waiting.push(Buffer.from(chunk as string));
    this.#pump();
  }

  /** @param as what it tells of its end, where that is not what it looks like */
  finish(trailers: HeaderList = [], as: Completion = { end: 'complete', bytes: 0 }): void {
    this.#ending = { clean: true, completion: as, trailers };
    this.#pump();
  }

  /** What was not delivered by then is lost. */
  breakOff(end: Exclude<Completion['end'], 'complete'> = 'upstream-aborted'): void {
    this.#waiting.length = 0;
    const completion = { end, reason: 'response_incomplete', bytes: 0 } as const;
    this.#ending = { clean: false, completion, trailers: [] };
    this.paused = false;
    this.#pump();
  }

  #pump(): void {
    const sink = this.#sink;
    if (!sink) return;
    while (!this.paused && this.#waiting.length > 0) {
      const chunk = this.#waiting.shift() as Uint8Array;
      this.#bytes += chunk.length;
      this.delivered += 1;
      this.paused = !sink.write(chunk);
    }
    if (this.#waiting.length > 0 || !this.#ending) return;
    const { clean, completion, trailers } = this.#ending;
    const told = { ...completion, bytes: this.#bytes };
    this.#ending = undefined;
    this.#sink = undefined;
    if (clean) sink.end(trailers);
    else sink.abort(told);
    this.settleEnd(told);
  }
}

/** Reads a body; says `false` once for every pause that it is to make. */
export class PausingSink implements BodySink {
  readonly chunks: Uint8Array[] = [];
  trailers: HeaderList | undefined;
  aborted: Completion | undefined;
  /** Ends, of either kind, that it was told. */
  ends = 0;
  /** It asks for a pause after the next write. */
  full = false;
  /** It has asked for a pause. */
  waiting = false;
  readonly #body: ResponseBody;

  constructor(body: ResponseBody) {
    this.#body = body;
  }

  write(chunk: Uint8Array): boolean {
    if (this.waiting) throw new Error('was written to during a pause');
    if (this.ends > 0) throw new Error('was written to after the end');
    this.chunks.push(chunk);
    this.waiting = this.full;
    return !this.full;
  }

  end(trailers: HeaderList): void {
    this.ends += 1;
    this.trailers = trailers;
  }

  abort(completion: Completion): void {
    this.ends += 1;
    this.aborted = completion;
  }

  /** Takes what comes from now on, for as long as nobody fills it again. */
  drain(): void {
    this.full = false;
    if (!this.waiting) return;
    this.waiting = false;
    this.#body.resume();
  }

  /** Takes one more chunk. */
  takeOne(): void {
    if (!this.waiting) return;
    this.waiting = false;
    this.#body.resume();
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('utf8');
  }
}

/** Starts to read a body. */
export function read(body: ResponseBody | undefined, full = false): PausingSink {
  if (!body) throw new Error('there is no body to read');
  const sink = new PausingSink(body);
  sink.full = full;
  body.pipe(sink);
  return sink;
}
