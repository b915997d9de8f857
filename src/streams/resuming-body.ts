/**
 * A stream that may break off and go on: what comes after the break is fetched and delivered to the same sink, which
 * notices nothing.
 */
import { BodyEnd } from '../core/body-end.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { BodySink, Completion, ResponseBody } from '../core/outcome.ts';

/**
 * Brings the rest of a stream that broke off, or last words for its client where there is no rest; undefined when it is
 * to break off. Never rejects.
 */
export type Continue = (broken: Completion) => Promise<ResponseBody | Uint8Array | undefined>;

export class ResumingBody extends BodyEnd implements ResponseBody, BodySink {
  #current: ResponseBody;
  readonly #continue: Continue;
  #sink: BodySink | undefined;
  /** Bytes of the parts before the current one. */
  #bytesBefore = 0;
  #waiting = false;

  constructor(first: ResponseBody, continueAfter: Continue) {
    super();
    this.#current = first;
    this.#continue = continueAfter;
  }

  pipe(sink: BodySink): void {
    this.#sink = sink;
    this.#follow(this.#current);
  }

  resume(): void {
    if (!this.#waiting) this.#current.resume();
  }

  discard(): void {
    if (this.#sink) return;
    this.#current.onEnd((completion) => this.settleEnd(completion));
    this.#current.discard();
  }

  // --- as the sink of one part after the other

  write(chunk: Uint8Array): boolean {
    return this.#sink?.write(chunk) ?? true;
  }

  end(trailers: HeaderList): void {
    this.#sink?.end(trailers);
  }

  abort(completion: Completion): void {
    this.#waiting = true;
    void this.#goOn(completion);
  }

  #follow(part: ResponseBody): void {
    this.#current = part;
    part.pipe(this);
    // An end is told after it was delivered; a break has led to a new part by then, or to none.
    part.onEnd((completion) => {
      if (part === this.#current && !this.#waiting) this.settleEnd(this.#total(completion));
    });
  }

  async #goOn(broken: Completion): Promise<void> {
    const rest = await this.#continue(broken);
    this.#waiting = false;
    if (rest && !(rest instanceof Uint8Array)) {
      this.#bytesBefore += broken.bytes;
      this.#follow(rest);
      return;
    }
    if (rest) {
      this.#sink?.write(rest);
      this.#sink?.end([]);
    } else this.#sink?.abort(broken);
    this.settleEnd(this.#total(broken));
  }

  #total(completion: Completion): Completion {
    return this.#bytesBefore === 0
      ? completion
      : { ...completion, bytes: completion.bytes + this.#bytesBefore };
  }
}
