/** How an exchange or an attempt ended, as a value: policies never throw and never catch. */
import type { Duplex } from 'node:stream';
import type { HeaderList } from './header-list.ts';
import type { Reason } from './reasons.ts';
import { verdictOf } from './verdict.ts';
import type { Verdict } from './verdict.ts';

export interface ResponseHead {
  readonly status: number;
  readonly statusText: string;
  readonly headers: HeaderList;
}

/** How a response body ended. */
export interface Completion {
  readonly end:
    /** All of it was delivered. */
    | 'complete'
    /** The upstream broke it off. */
    | 'upstream-aborted'
    /** A timer of ours broke it off. */
    | 'timed-out'
    /** The client left. */
    | 'client-aborted'
    /** We did not want it: a retry, a race or a shutdown made it void. */
    | 'discarded';
  /** Set unless complete. */
  readonly reason?: Reason;
  /** Body bytes received from the upstream. */
  readonly bytes: number;
  /** Set where the end itself says more than how it came: the upstream's own error in the middle of its answer. */
  readonly verdict?: Verdict;
}

/** Where a body goes. All calls are synchronous; `end` or `abort` comes exactly once, last. */
export interface BodySink {
  /** @returns false to ask for a pause until `ResponseBody.resume()` */
  write(chunk: Uint8Array): boolean;
  end(trailers: HeaderList): void;
  /** What was written is not the whole body; it must not look as if it were. */
  abort(completion: Completion): void;
}

/**
 * A response body that is pushed into one sink, so that the hot path needs no stream objects.
 * Exactly one of `pipe` and `discard` must be called.
 */
export interface ResponseBody {
  /** Starts delivery; what arrived before is delivered synchronously. */
  pipe(sink: BodySink): void;
  /** Ends a pause that the sink asked for. */
  resume(): void;
  /** Releases an unwanted body; its connection is drained or closed. */
  discard(): void;
  /** Calls `listener` once, when the body has ended; at once where it already has. */
  onEnd(listener: (completion: Completion) => void): void;
  /** The same as a promise. Never rejects. */
  readonly completion: Promise<Completion>;
}

export interface ResponseOutcome {
  readonly kind: 'response';
  /** `broadcast`: what several endpoints said, put together. */
  readonly from: 'upstream' | 'fallback' | 'cache' | 'replay' | 'broadcast';
  readonly head: ResponseHead;
  readonly body: ResponseBody;
  readonly verdict: Verdict;
  /** Number of the attempt that brought it; undefined for answers of our own. */
  readonly attempt?: number;
  /** The body as parsed JSON, where it was read to judge it. */
  readonly json?: unknown;
  /** Set when it was turned away for its credential, before any work, and another one is at hand. */
  readonly otherCredential?: true;
  /** Set when the upstream switched protocols (101): the connection, whose end is the body's completion. */
  readonly tunnel?: Duplex;
}

/** It was tried and failed without a response. */
export interface FailureOutcome {
  readonly kind: 'failure';
  readonly reason: Reason;
  /** Whether the upstream may have seen the request; `no` makes a replay safe for every method. */
  readonly requestSent: 'no' | 'maybe';
  /** It failed on a kept-alive connection that the upstream closed at the same moment. */
  readonly staleConnection: boolean;
  readonly verdict: Verdict;
  /** Number of the attempt that failed; undefined when none was under way. */
  readonly attempt?: number;
  /** For people: what the network said. Holds no secrets. */
  readonly detail: string;
  /** What the upstream itself said, as parsed JSON: an error inside an answer that looked like a success. */
  readonly json?: unknown;
  /** Status and headers that came before it failed, where there were any. */
  readonly head?: ResponseHead;
  /** As with responses. */
  readonly otherCredential?: true;
}

/** It was refused here; nothing was sent. */
export interface RejectionOutcome {
  readonly kind: 'rejection';
  readonly reason: Reason;
  /** Name of the policy or stage that refused. */
  readonly by: string;
  readonly verdict: Verdict;
  /** Milliseconds after which asking again can help. */
  readonly retryAfterMs?: number;
  readonly detail?: string;
  /** Fields that the answer has besides those of all refusals. */
  readonly headers?: HeaderList;
}

export type Outcome = ResponseOutcome | FailureOutcome | RejectionOutcome;

/** Calls `fn` once nothing more can come of the outcome: at the end of its body, at once where it has none. */
export function whenOver(outcome: Outcome, fn: () => void): void {
  if (outcome.kind === 'response') outcome.body.onEnd(fn);
  else fn();
}

/** Releases an outcome that will not be used. */
export function discard(outcome: Outcome): void {
  if (outcome.kind === 'response') outcome.body.discard();
}

/** The verdict once the body has ended too: an answer that broke off was none. */
export function finalVerdict(outcome: Outcome, completion: Completion | undefined): Verdict {
  if (!completion) return outcome.verdict;
  if (completion.verdict) return completion.verdict;
  switch (completion.end) {
    case 'upstream-aborted':
    case 'timed-out':
      return verdictOf('transient');
    case 'client-aborted':
    case 'discarded':
      // A failing status is the upstream's own, whoever left first; a good head without its body is no proof of health.
      return outcome.verdict.result === 'failure' ? outcome.verdict : verdictOf('abandoned');
    case 'complete':
      return outcome.verdict;
  }
}
