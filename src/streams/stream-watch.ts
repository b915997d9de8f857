/** Watches an event stream pass: when its answer begins, whether it ended as its protocol ends, and what broke it off. */
import { Buffer } from 'node:buffer';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { AnswerFacts, StreamReader, StreamSignal } from '../core/dialect.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { Completion } from '../core/outcome.ts';
import type { Reason } from '../core/reasons.ts';
import type { Verdict } from '../core/verdict.ts';
import { decoderOf } from './decoder.ts';
import type { Decoder } from './decoder.ts';
import type { BodyWatcher, HeldBody } from './held-body.ts';
import { SseFrames } from './sse-frames.ts';

/** What is known when an answer need not be held any more. */
export type Decision =
  | { readonly kind: 'pass'; readonly json?: unknown }
  | { readonly kind: 'fail'; readonly reason: Reason; readonly json?: unknown };

export interface StreamWatchInit {
  readonly reader: StreamReader;
  readonly facts: AnswerFacts;
  readonly clock: Clock;
  readonly contentEncoding: string | undefined;
  /** Bytes to hold while the answer has not begun. */
  readonly holdBytes: number;
  /** Silence after which a comment is sent, in milliseconds; undefined: none. */
  readonly keepAliveMs: number | undefined;
  readonly decide: (decision: Decision) => void;
  /** It broke off between two frames. True: those above know how to go on, and the client is told nothing. */
  readonly goesOn: () => boolean;
  /** It answers a call that the protocol has a name for. */
  readonly known: boolean;
  /** Its head says how long it is: what is missing cannot be made up for by a clean end. */
  readonly framed: boolean;
  /** What closes a frame that is not finished. */
  readonly frameEnd: string;
  /** Events that tell the client why the stream ends; undefined when nothing can be added to it. */
  readonly farewell: (reason: Reason) => string | undefined;
  /** What the upstream's own error means. */
  readonly judge: (json: unknown) => Verdict;
  readonly onDiscard: () => void;
}

const COMMENT = Buffer.from(': keep-alive\n\n', 'latin1');

export class StreamWatch implements BodyWatcher {
  readonly #init: StreamWatchInit;
  readonly #frames: SseFrames;
  readonly #decoder: Decoder | undefined;
  readonly #encoded: boolean;
  #body!: HeldBody;
  #lastEventAt: number;
  #lastChunkAt: number;
  #keepAlive: TimerHandle | undefined;
  #decided: Decision['kind'] | undefined;
  #ended = false;
  #errored = false;
  #over = false;
  /** What came was not in the coding that it claims to be in: nothing is known of its end. */
  #unreadable = false;

  constructor(init: StreamWatchInit) {
    this.#init = init;
    this.#frames = new SseFrames((event, data, id) => this.#event(event, data, id));
    this.#decoder = decoderOf(
      init.contentEncoding,
      (bytes) => this.#frames.push(bytes),
      () => {
        this.#unreadable = true;
        this.commit();
      },
    );
    this.#unreadable = this.#decoder === undefined;
    this.#encoded = !['', 'identity'].includes(init.contentEncoding?.trim().toLowerCase() ?? '');
    this.#lastEventAt = init.clock.now();
    this.#lastChunkAt = this.#lastEventAt;
  }

  /** False for a content coding that cannot be read. */
  get readable(): boolean {
    return !this.#unreadable;
  }

  /** False where nothing is gained by waiting for its first event. */
  get worthHolding(): boolean {
    const { immediate, hasTerminator } = this.#init.reader;
    return this.readable && immediate !== true && (hasTerminator || this.#init.known);
  }

  attach(body: HeldBody): void {
    this.#body = body;
  }

  /** It has been held long enough, whatever it is. */
  commit(): void {
    this.#decide({ kind: 'pass' });
  }

  // --- as the body's watcher

  chunk(bytes: Uint8Array): void {
    this.#lastChunkAt = this.#init.clock.now();
    this.#decoder?.push(bytes);
    if (!this.#decided && this.#body.bytes > this.#init.holdBytes) this.commit();
  }

  over(completion: Completion, trailers: HeaderList): void {
    this.#over = true;
    this.#stopKeepAlive();
    // What was decoded late must be read before the end is judged.
    if (this.#decoder) this.#decoder.finish(() => this.#finished(completion, trailers));
    else this.#finished(completion, trailers);
  }

  discarded(): void {
    this.#stopKeepAlive();
    this.#decoder?.close();
    if (!this.#over) this.#init.onDiscard();
  }

  // --- reading

  #event(event: string, data: string, id: string | undefined): void {
    const { facts, reader, clock } = this.#init;
    // What is decoded is read later than it came.
    const now = this.#encoded ? clock.now() : this.#lastChunkAt;
    facts.events += 1;
    if (now - this.#lastEventAt > facts.longestGapMs) facts.longestGapMs = now - this.#lastEventAt;
    this.#lastEventAt = now;
    switch (this.#signalOf(event, data, id)) {
      case 'content':
        facts.firstTokenAt ??= now;
        // What goes on had not ended: protocols without an event for it only say so by what they send.
        this.#ended = false;
        this.#decide({ kind: 'pass' });
        break;
      case 'end':
        this.#end(now);
        break;
      case 'error':
        this.#errored = true;
        this.#decide({ kind: 'fail', reason: 'upstream_error', json: reader.error });
        break;
      case 'malformed':
        facts.malformed += 1;
        break;
      case 'pass':
        break;
    }
  }

  /** A reader that stumbles over what an upstream wrote must not leave the client waiting. */
  #signalOf(event: string, data: string, id: string | undefined): StreamSignal {
    try {
      return this.#init.reader.read(event, data, id);
    } catch {
      return 'malformed';
    }
  }

  #end(now: number): void {
    const { facts } = this.#init;
    this.#ended = true;
    if (facts.firstTokenAt === undefined && facts.finishReason === undefined) {
      this.#decide({ kind: 'fail', reason: 'empty_answer' });
      return;
    }
    // Short answers begin and end with the same event.
    facts.firstTokenAt ??= now;
    this.#decide({ kind: 'pass' });
  }

  #decide(decision: Decision): void {
    if (this.#decided) return;
    this.#decided = decision.kind;
    if (decision.kind === 'pass') this.#startKeepAlive();
    else this.#decoder?.close();
    this.#init.decide(decision);
  }

  #finished(completion: Completion, trailers: HeaderList): void {
    if (!this.#decided) this.#decideAtEnd(completion);
    if (this.#decided === 'pass') this.#close(completion, trailers);
  }

  /** It ended before its answer began. */
  #decideAtEnd(completion: Completion): void {
    const { facts, reader } = this.#init;
    if (completion.end !== 'complete')
      this.#decide({ kind: 'fail', reason: completion.reason ?? 'response_incomplete' });
    else if (!reader.hasTerminator) this.#decide({ kind: 'pass' });
    else if (facts.malformed > 0) this.#decide({ kind: 'fail', reason: 'malformed_answer' });
    else
      this.#decide({
        kind: 'fail',
        reason: facts.events === 0 && !this.#frames.midFrame ? 'empty_answer' : 'response_incomplete',
      });
  }

  #close(completion: Completion, trailers: HeaderList): void {
    const { bytes } = completion;
    const { reader, judge } = this.#init;
    const whole = completion.end === 'complete';
    const clean = whole || !this.#init.framed;
    if (this.#errored) {
      const verdict = judge(reader.error);
      const end = { end: 'upstream-aborted', reason: 'upstream_error', bytes, verdict } as const;
      if (reader.unheard === true && !this.#ended) this.#breakOff(end);
      else this.#body.close({ completion: end, clean, trailers });
    } else if (this.#ended || (whole && (this.#unreadable || !reader.hasTerminator)))
      this.#body.close({ completion: { end: 'complete', bytes }, clean, trailers });
    else this.#breakOff(whole ? { end: 'upstream-aborted', bytes, reason: this.#brokenBy } : completion);
  }

  /** The connection ended in order, the answer did not. */
  get #brokenBy(): Reason {
    return this.#init.facts.malformed > 0 ? 'malformed_answer' : 'response_incomplete';
  }

  #breakOff(completion: Completion): void {
    const { reason = 'response_incomplete' } = completion;
    const { frameEnd } = this.#init;
    const gone = completion.end === 'client-aborted' || reason === 'superseded';
    const goesOn = !gone && !this.#encoded && !this.#frames.midFrame && this.#init.goesOn();
    const mute = gone || goesOn || this.#encoded || this.#init.reader.resumable === true;
    const farewell = mute ? undefined : this.#init.farewell(reason);
    if (farewell === undefined) this.#body.close({ completion, clean: false });
    else {
      const last = Buffer.from(this.#frames.midFrame ? `${frameEnd}${farewell}` : farewell, 'utf8');
      this.#body.close({ completion, clean: true, last });
    }
  }

  // --- comments while nothing comes

  #startKeepAlive(): void {
    const { keepAliveMs, clock } = this.#init;
    if (keepAliveMs === undefined || this.#encoded || this.#over) return;
    const wait = Math.max(1, this.#lastChunkAt + keepAliveMs - clock.now());
    this.#keepAlive = clock.setTimer(wait, () => {
      // Between frames only: within one it would become a part of it.
      if (clock.now() - this.#lastChunkAt >= keepAliveMs && !this.#frames.midFrame) {
        this.#body.insert(COMMENT);
        this.#lastChunkAt = clock.now();
      }
      this.#startKeepAlive();
    });
  }

  #stopKeepAlive(): void {
    if (this.#keepAlive) this.#init.clock.clearTimer(this.#keepAlive);
    this.#keepAlive = undefined;
  }
}
