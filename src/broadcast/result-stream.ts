/** A body that is written piece by piece as results come in, as fast as its reader takes them. */
import { BodyEnd, endOfCancel } from '../core/body-end.ts';
import type { CancelReason, Cancellation } from '../core/cancellation.ts';
import type { BodySink, Completion, ResponseBody } from '../core/outcome.ts';
import { reasonOfCancel } from '../core/reasons.ts';

export class ResultStream extends BodyEnd implements ResponseBody {
  readonly #cancellation: Cancellation;
  #sink: BodySink | undefined;
  /** Pieces that nobody has taken; the number and size of results bound them. */
  #waiting: Buffer[] = [];
  #paused = false;
  #bytes = 0;
  /** Nothing more comes. */
  #closed = false;
  #ending: Completion | undefined;

  /** @param cancellation its reader leaves with it; cancelled where the reader does not want it */
  constructor(cancellation: Cancellation) {
    super();
    this.#cancellation = cancellation;
    cancellation.onCancel(this.#onCancel);
  }

  write(text: string): void {
    if (this.#ending) return;
    this.#waiting.push(Buffer.from(text, 'utf8'));
    this.#deliver();
  }

  /** The last piece has been written. */
  close(): void {
    this.#closed = true;
    this.#deliver();
  }

  pipe(sink: BodySink): void {
    this.#sink = sink;
    if (this.#ending) sink.abort(this.#ending);
    else this.#deliver();
  }

  resume(): void {
    this.#paused = false;
    this.#deliver();
  }

  discard(): void {
    if (!this.#sink) this.#cancellation.cancel('superseded');
  }

  #deliver(): void {
    const sink = this.#sink;
    while (sink && !this.#paused && !this.#ending && this.#waiting.length > 0) {
      const piece = this.#waiting.shift() as Buffer;
      this.#bytes += piece.length;
      this.#paused = !sink.write(piece);
    }
    if (sink && this.#closed && this.#waiting.length === 0)
      this.#end({ end: 'complete', bytes: this.#bytes });
  }

  readonly #onCancel = (why: CancelReason): void =>
    this.#end({ end: endOfCancel(why), reason: reasonOfCancel(why), bytes: this.#bytes });

  #end(completion: Completion): void {
    if (this.#ending) return;
    this.#ending = completion;
    this.#waiting = [];
    this.#cancellation.off(this.#onCancel);
    if (completion.end === 'complete') this.#sink?.end([]);
    else this.#sink?.abort(completion);
    this.settleEnd(completion);
  }
}
