/** A response body that is already here: static answers, error bodies, cached answers. */
import type { BodySink, Completion, ResponseBody } from './outcome.ts';

export class BytesBody implements ResponseBody {
  readonly completion: Promise<Completion>;
  readonly #bytes: Uint8Array;
  #settle!: (completion: Completion) => void;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.completion = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  pipe(sink: BodySink): void {
    if (this.#bytes.length > 0) sink.write(this.#bytes);
    sink.end([]);
    this.#settle({ end: 'complete', bytes: this.#bytes.length });
  }

  resume(): void {
    // One chunk: there is nothing left to deliver after a pause.
  }

  discard(): void {
    this.#settle({ end: 'discarded', bytes: 0 });
  }
}
