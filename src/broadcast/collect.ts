/** Keeps the beginning of one answer, up to a bound. */
import type { BodySink, Completion, ResponseOutcome } from '../core/outcome.ts';
import type { Part, Result } from './result.ts';

export interface CollectOptions {
  readonly maxBytes: number;
  /** Called once when enough has come; nothing more is wanted. */
  readonly enough: () => void;
}

/** Resolves when the body has ended, or enough of it is here. Never rejects. */
export function collect(
  { head, body }: ResponseOutcome,
  options: CollectOptions,
): Promise<Pick<Result, 'part' | 'error'>> {
  return new Promise((resolve) => {
    const sink = new BoundedSink(options, ({ bytes, truncated, broken }) => {
      const part: Part = { status: head.status, headers: head.headers, bytes, truncated };
      const reason = broken && (broken.reason ?? 'response_incomplete');
      resolve({ part, ...(reason && { error: { reason } }) });
    });
    body.pipe(sink);
  });
}

interface Kept {
  readonly bytes: Uint8Array;
  readonly truncated: boolean;
  /** How it ended before its end. */
  readonly broken?: Completion;
}

class BoundedSink implements BodySink {
  readonly #options: CollectOptions;
  readonly #done: (kept: Kept) => void;
  readonly #chunks: Uint8Array[] = [];
  #length = 0;
  #over = false;

  constructor(options: CollectOptions, done: (kept: Kept) => void) {
    this.#options = options;
    this.#done = done;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#over) return true;
    const room = this.#options.maxBytes - this.#length;
    const fits = chunk.length <= room;
    const kept = fits ? chunk : chunk.subarray(0, room);
    // A copy where it is a part: what is cut off must not stay in memory with it.
    this.#chunks.push(fits ? kept : Uint8Array.from(kept));
    this.#length += kept.length;
    if (!fits) {
      this.#finish({ truncated: true });
      this.#options.enough();
    }
    return true;
  }

  end(): void {
    this.#finish({ truncated: false });
  }

  abort(completion: Completion): void {
    this.#finish({ truncated: true, broken: completion });
  }

  #finish(how: Omit<Kept, 'bytes'>): void {
    if (this.#over) return;
    this.#over = true;
    this.#done({ bytes: Buffer.concat(this.#chunks), ...how });
  }
}
