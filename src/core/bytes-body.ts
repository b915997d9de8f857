/** A response body that is already here: static answers, error bodies, cached answers. */
import { BodyEnd } from './body-end.ts';
import type { BodySink, ResponseBody } from './outcome.ts';

export class BytesBody extends BodyEnd implements ResponseBody {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    super();
    this.#bytes = bytes;
  }

  pipe(sink: BodySink): void {
    if (this.#bytes.length > 0) sink.write(this.#bytes);
    sink.end([]);
    this.settleEnd({ end: 'complete', bytes: this.#bytes.length });
  }

  resume(): void {
    // One chunk: there is nothing left to deliver after a pause.
  }

  discard(): void {
    this.settleEnd({ end: 'discarded', bytes: 0 });
  }
}
