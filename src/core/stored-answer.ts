/** An answer as plain data, and its body once more, as often as it is wanted. */
import { BodyEnd, endOfCancel } from './body-end.ts';
import type { CancelReason, Cancellation } from './cancellation.ts';
import type { HeaderList } from './header-list.ts';
import type { BodySink, Completion, ResponseBody, ResponseHead } from './outcome.ts';
import { reasonOfCancel } from './reasons.ts';

/** A whole answer. Its body keeps its chunks: a stream is replayed frame by frame. */
export interface StoredAnswer {
  readonly head: ResponseHead;
  readonly chunks: readonly Uint8Array[];
  readonly trailers: HeaderList;
}

/** Length of its body in bytes. */
export const bodyBytesOf = ({ chunks }: StoredAnswer): number =>
  chunks.reduce((sum, { length }) => sum + length, 0);

/** The body of a stored answer, delivered as fast as its reader takes it. */
export class ReplayBody extends BodyEnd implements ResponseBody {
  readonly #answer: StoredAnswer;
  readonly #cancellation: Cancellation | undefined;
  #sink: BodySink | undefined;
  #next = 0;
  #bytes = 0;
  #paused = false;
  #over = false;
  /** Its reader left before it took the body. */
  #left: Completion | undefined;

  /** @param cancellation its reader leaves with it */
  constructor(answer: StoredAnswer, cancellation?: Cancellation) {
    super();
    this.#answer = answer;
    this.#cancellation = cancellation;
    cancellation?.onCancel(this.#onCancel);
  }

  pipe(sink: BodySink): void {
    this.#sink = sink;
    if (this.#left) sink.abort(this.#left);
    else this.#deliver(sink);
  }

  resume(): void {
    if (!this.#paused || !this.#sink) return;
    this.#paused = false;
    this.#deliver(this.#sink);
  }

  discard(): void {
    if (!this.#sink) this.#end({ end: 'discarded', bytes: 0 });
  }

  #deliver(sink: BodySink): void {
    const { chunks } = this.#answer;
    while (!this.#over && this.#next < chunks.length) {
      if (this.#paused) return;
      const chunk = chunks[this.#next++] as Uint8Array;
      this.#bytes += chunk.length;
      this.#paused = !sink.write(chunk);
    }
    this.#end({ end: 'complete', bytes: this.#bytes });
  }

  readonly #onCancel = (why: CancelReason): void =>
    this.#end({ end: endOfCancel(why), reason: reasonOfCancel(why), bytes: this.#bytes });

  #end(completion: Completion): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancellation?.off(this.#onCancel);
    if (completion.end === 'complete') this.#sink?.end(this.#answer.trailers);
    else if (this.#sink) this.#sink.abort(completion);
    else this.#left = completion;
    this.settleEnd(completion);
  }
}
