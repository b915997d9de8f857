/** Waits for the whole of a JSON answer, within a bound, to judge it by what it says. */
import { Buffer } from 'node:buffer';
import type { HeaderList } from '../core/header-list.ts';
import type { Completion } from '../core/outcome.ts';
import { decoderOf } from './decoder.ts';
import type { Decoder } from './decoder.ts';
import type { BodyWatcher, HeldBody } from './held-body.ts';
import { JsonTail } from './json-tail.ts';
import type { Decision } from './stream-watch.ts';

export interface JsonWatchInit {
  readonly contentEncoding: string | undefined;
  /** Larger answers are passed on unread; with 0, all that have anything in them. */
  readonly maxBytes: number;
  /** True for error statuses: whatever their body is, the status stands. */
  readonly isError: boolean;
  /** Judges the parsed body of a success. */
  readonly read: (json: unknown) => Decision;
  /** Gets what the end of an answer says that was passed on unread. */
  readonly readTail: (members: Readonly<Record<string, unknown>>) => void;
  readonly decide: (decision: Decision) => void;
  readonly onDiscard: () => void;
}

export class JsonWatch implements BodyWatcher {
  readonly #init: JsonWatchInit;
  readonly #decoder: Decoder | undefined;
  #body!: HeldBody;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #decided: Decision['kind'] | undefined;
  #over = false;
  /** Of an answer that is passed on unread. Undefined: nothing more is to be learnt. */
  #tail: JsonTail | undefined;

  constructor(init: JsonWatchInit) {
    this.#init = init;
    this.#decoder = decoderOf(
      init.contentEncoding,
      (bytes) => this.#collect(bytes),
      () => this.commit(),
    );
  }

  /** False for a content coding that cannot be read. */
  get readable(): boolean {
    return this.#decoder !== undefined;
  }

  get worthHolding(): boolean {
    return this.readable;
  }

  attach(body: HeldBody): void {
    this.#body = body;
  }

  /** It has been held long enough, whatever it is. */
  commit(): void {
    this.#passUnread();
  }

  chunk(bytes: Uint8Array): void {
    if (!this.#decided) this.#decoder?.push(bytes);
    else this.#tail?.push(bytes);
  }

  over(completion: Completion, trailers: HeaderList): void {
    this.#over = true;
    if (this.#decided || !this.#decoder) this.#finished(completion, trailers);
    else this.#decoder.finish(() => this.#finished(completion, trailers));
  }

  discarded(): void {
    this.#decoder?.close();
    this.#tail = undefined;
    if (!this.#over) this.#init.onDiscard();
  }

  #collect(bytes: Uint8Array): void {
    if (this.#decided) return;
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > this.#init.maxBytes) this.#passUnread();
  }

  #passUnread(): void {
    if (this.#decided) return;
    const { isError, contentEncoding } = this.#init;
    // Megabytes are not unpacked for a few numbers at their end.
    if (!isError && isPlain(contentEncoding)) {
      this.#tail = new JsonTail();
      for (const part of this.#parts) this.#tail.push(part);
    }
    this.#decide({ kind: 'pass' });
  }

  #decide(decision: Decision): void {
    if (this.#decided) return;
    this.#decided = decision.kind;
    this.#parts = [];
    this.#decoder?.close();
    this.#init.decide(decision);
  }

  #finished(completion: Completion, trailers: HeaderList): void {
    if (!this.#decided) this.#decide(this.#judge(completion));
    if (this.#decided !== 'pass') return;
    const members = completion.end === 'complete' ? this.#tail?.members() : undefined;
    if (members) this.#init.readTail(members);
    if (completion.end === 'complete') this.#body.close({ completion, clean: true, trailers });
    else this.#body.close({ completion, clean: false });
  }

  #judge(completion: Completion): Decision {
    const { isError, read } = this.#init;
    if (completion.end !== 'complete')
      return isError
        ? { kind: 'pass' }
        : { kind: 'fail', reason: completion.reason ?? 'response_incomplete' };
    const text = Buffer.concat(this.#parts).toString('utf8');
    const json = parse(text);
    if (isError) return json === undefined ? { kind: 'pass' } : { kind: 'pass', json };
    if (json !== undefined) return read(json);
    return { kind: 'fail', reason: text.trim() === '' ? 'empty_answer' : 'malformed_answer' };
  }
}

const isPlain = (contentEncoding: string | undefined): boolean =>
  ['', 'identity'].includes(contentEncoding?.trim().toLowerCase() ?? '');

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
