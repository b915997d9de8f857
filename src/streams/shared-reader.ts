/** One reader of a shared body: goes through it at its own pace, and may leave at any time. */
import { BodyEnd, endOfCancel } from '../core/body-end.ts';
import type { CancelReason, Cancellation } from '../core/cancellation.ts';
import type { BodySink, Completion, ResponseBody } from '../core/outcome.ts';
import { reasonOfCancel } from '../core/reasons.ts';
import type { SharedBody, SharedEnding } from './shared-body.ts';

export class SharedReader extends BodyEnd implements ResponseBody {
  readonly #shared: SharedBody;
  readonly #cancellation: Cancellation | undefined;
  #sink: BodySink | undefined;
  #position = 0;
  #bytes = 0;
  #paused = false;
  #pumping = false;
  #over = false;
  /** It left before anybody took it. */
  #gone: Completion | undefined;

  constructor(shared: SharedBody, cancellation: Cancellation | undefined) {
    super();
    this.#shared = shared;
    this.#cancellation = cancellation;
  }

  /** Number of the chunk that it gets next. */
  get position(): number {
    return this.#position;
  }

  pipe(sink: BodySink): void {
    this.#sink = sink;
    if (this.#gone) {
      sink.abort(this.#gone);
      return;
    }
    this.pump();
    this.#shared.progressed();
  }

  resume(): void {
    if (!this.#paused || this.#over) return;
    this.#paused = false;
    this.pump();
    this.#shared.progressed();
  }

  discard(): void {
    if (!this.#sink) this.#leave({ end: 'discarded', bytes: this.#bytes });
  }

  // --- for the shared body

  attach(): void {
    this.#cancellation?.onCancel(this.#onCancel);
    if (this.#shared.ending) this.#shared.onEnd((completion) => this.told(completion));
  }

  /** As with any body: one that broke before anybody took it has ended. */
  told(completion: Completion): void {
    if (!this.#sink && completion.end !== 'complete') this.settleEnd(completion);
  }

  /** Delivers what there is. */
  pump(): void {
    const sink = this.#sink;
    if (!sink || this.#pumping || this.#over) return;
    this.#pumping = true;
    this.#deliver(sink);
    this.#pumping = false;
  }

  /** It has made others wait for too long: its client sees an answer that broke off. */
  cut(): void {
    this.#leave({ end: 'client-aborted', reason: 'client_aborted', bytes: this.#bytes });
  }

  #deliver(sink: BodySink): void {
    for (;;) {
      if (this.#over) return;
      const chunk = this.#shared.chunkAt(this.#position);
      if (!chunk) break;
      if (this.#paused) return;
      this.#position += 1;
      this.#bytes += chunk.length;
      this.#paused = !sink.write(chunk);
    }
    const { ending } = this.#shared;
    if (ending) this.#finish(sink, ending);
  }

  #finish(sink: BodySink, ending: SharedEnding): void {
    this.#end();
    if ('broken' in ending) sink.abort(ending.broken);
    else sink.end(ending.trailers);
    this.#shared.onEnd((completion) => this.settleEnd(completion));
  }

  readonly #onCancel = (why: CancelReason): void => {
    this.#leave({ end: endOfCancel(why), reason: reasonOfCancel(why), bytes: this.#bytes });
  };

  #leave(completion: Completion): void {
    if (this.#over) return;
    this.#end(completion);
    if (this.#sink) this.#sink.abort(completion);
    else this.#gone = completion;
    this.settleEnd(completion);
  }

  #end(early?: Completion): void {
    this.#over = true;
    this.#cancellation?.off(this.#onCancel);
    this.#shared.left(this, early);
  }
}
