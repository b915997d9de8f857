/**
 * Continues a stream that broke off, where its protocol can say from where: the client sees one stream. It stands outside
 * the timers, the credentials and the gate, so that every part has its own, and inside selection, because the rest of a
 * stream is where its beginning was.
 */
import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { delays } from '../algorithms/backoff.ts';
import type { Delays } from '../algorithms/backoff.ts';
import { endAttempt } from '../core/attempt-ending.ts';
import { Cancellation } from '../core/cancellation.ts';
import { sleep } from '../core/clock.ts';
import type { Continuation } from '../core/dialect.ts';
import { Attempt } from '../core/exchange.ts';
import { hasHeader, headerValue } from '../core/header-list.ts';
import { bodyOfBytes, NO_BODY } from '../core/request-bodies.ts';
import { discard } from '../core/outcome.ts';
import type { Completion, Outcome, ResponseBody, ResponseHead, ResponseOutcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { REASONS } from '../core/reasons.ts';
import { duration, positiveCount } from '../schema/scalars.ts';
import { ResumingBody } from '../streams/resuming-body.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** A stream that broke off was continued, or could not be. */
    'stream-resumed': {
      readonly attempt: Attempt;
      readonly upstream: string;
      readonly result: 'resumed' | 'failed';
      /** Requests that it took. */
      readonly tries: number;
    };
  }
}

export const resumeSchema = z
  .strictObject({
    tries: positiveCount
      .max(100)
      .default(5)
      .describe(
        'Requests for the rest of a stream, until a part of it has lived as long as the longest wait, before it counts as broken.',
      ),
    initial: duration
      .prefault('250ms')
      .describe('Wait before the second of them, before jitter; it doubles.'),
    max: duration.prefault('5s').describe('No wait is longer.'),
  })
  .describe('Continues streams that broke off, where their protocol can say from where.');

export type ResumeOptions = z.output<typeof resumeSchema>;

class Resume implements Policy<Attempt> {
  readonly name = 'resume';
  readonly #options: ResumeOptions;
  readonly #deps: PolicyDeps;

  constructor(options: ResumeOptions, deps: PolicyDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async run(attempt: Attempt, next: Next<Attempt>, cancellation: Cancellation): Promise<Outcome> {
    const outcome = await next(attempt, cancellation);
    const { upstream, request } = attempt.exchange;
    const stream = upstream.dialect.resumes?.(request) ? eventStreamIn(outcome) : undefined;
    if (!stream) return outcome;
    // What its head promised, no second part can keep.
    if (hasHeader(stream.head.headers, 'content-length')) return outcome;
    const series = new Continuations({ attempt, head: stream.head }, next, {
      ...this.#deps,
      options: this.#options,
    });
    return { ...stream, body: new ResumingBody(stream.body, (broken) => series.after(broken)) };
  }

  snapshot(): Snapshot {
    const { tries, initial, max } = this.#options;
    return { tries, initialMs: initial, maxMs: max };
  }

  dispose(): void {
    // What waits belongs to exchanges and ends with them.
  }
}

const isSame = (a: Continuation, b: Continuation | undefined): boolean =>
  b !== undefined && a.repeats === undefined && a.request.target === b.request.target && sameHeaders(a, b);

const sameHeaders = (a: Continuation, b: Continuation): boolean =>
  headerValue(a.request.headers, 'last-event-id') === headerValue(b.request.headers, 'last-event-id');

function eventStreamIn(outcome: Outcome): ResponseOutcome | undefined {
  if (outcome.kind !== 'response' || outcome.tunnel || outcome.head.status !== 200) return undefined;
  const type = headerValue(outcome.head.headers, 'content-type') ?? '';
  return /^text\/event-stream\b/i.test(type) ? outcome : undefined;
}

/** Nobody sits before a stream that stands still for longer. */
const MAX_WAIT_MS = 60_000;

/** The parts of one stream after its first. */
class Continuations {
  readonly #next: Next<Attempt>;
  readonly #deps: PolicyDeps & { readonly options: ResumeOptions };
  /** The part that flows, or broke off. */
  #attempt: Attempt;
  readonly #first: Attempt;
  /** What the client was told; every part must be the same. */
  readonly #coding: string | undefined;
  #from: Continuation | undefined;
  #tries = 0;
  /** Events at the beginning of the current part that were no progress. */
  #repeats = 0;
  #delays: Delays | undefined;
  /** How long the upstream asked to wait, the last time it did. */
  #askedMs = 0;

  constructor(
    { attempt, head }: { readonly attempt: Attempt; readonly head: ResponseHead },
    next: Next<Attempt>,
    deps: PolicyDeps & { readonly options: ResumeOptions },
  ) {
    this.#attempt = attempt;
    this.#first = attempt;
    this.#coding = headerValue(head.headers, 'content-encoding');
    this.#next = next;
    this.#deps = deps;
  }

  /** @returns the rest of the stream, or its last words; undefined where it is to break off as it did */
  async after(broken: Completion): Promise<ResponseBody | Uint8Array | undefined> {
    if (broken.end !== 'upstream-aborted' && broken.end !== 'timed-out') return undefined;
    const from = this.#attempt.continuation;
    if (!from) return undefined;
    // Asking for the same again would bring the same again: this upstream does not count as we do.
    if (isSame(from, this.#from) && (this.#attempt.answer?.events ?? 0) > this.#repeats)
      return this.#farewell(broken);
    this.#from = from;
    if (this.#hasLived()) this.#startOver();
    this.#repeats = from.repeats ?? 0;
    const part = await this.#fetch(from);
    const { emit, upstream } = this.#deps;
    const result = part ? 'resumed' : 'failed';
    emit('stream-resumed', { attempt: this.#attempt, upstream, result, tries: this.#tries });
    return part ?? this.#farewell(broken);
  }

  /** What the gate would have said, had there been no hope. */
  #farewell({ reason = 'response_incomplete' }: Completion): Uint8Array | undefined {
    const { exchange } = this.#attempt;
    if (exchange.cancellation.cancelled || this.#attempt.clientResumes) return undefined;
    const text = exchange.upstream.dialect.renderStreamError?.({
      ...REASONS[reason],
      reason,
      detail: undefined,
      requestId: exchange.id,
      retryAfterMs: undefined,
      call: this.#first.exchange.call,
      sent: 'maybe',
    });
    return text === undefined ? undefined : Buffer.from(text, 'utf8');
  }

  /** It brought something new, for longer than the longest wait: a break now is a new one. */
  #hasLived(): boolean {
    const { answer, startedAt } = this.#attempt;
    const isNew = (answer?.events ?? 0) > this.#repeats;
    return isNew && this.#deps.clock.now() - startedAt >= this.#deps.options.max;
  }

  #startOver(): void {
    this.#tries = 0;
    this.#delays = undefined;
  }

  async #fetch(from: Continuation): Promise<ResponseBody | undefined> {
    const { exchange } = this.#attempt;
    while (this.#tries < this.#deps.options.tries) {
      if (this.#tries > 0 && !(await this.#wait())) return undefined;
      if (exchange.cancellation.cancelled) return undefined;
      this.#tries += 1;
      const attempt = this.#begin(from);
      const outcome = endAttempt(attempt, await this.#next(attempt, attempt.cancellation), this.#deps);
      const stream = eventStreamIn(outcome);
      if (stream && headerValue(stream.head.headers, 'content-encoding') === this.#coding) {
        this.#attempt = attempt;
        return stream.body;
      }
      discard(outcome);
      // It is gone for good: a session that ended, an event that nobody remembers.
      if (outcome.kind === 'response' && outcome.head.status < 500 && outcome.head.status !== 429)
        return undefined;
      this.#askedMs = outcome.verdict.retryAfterMs ?? 0;
      if (this.#askedMs > MAX_WAIT_MS) return undefined;
    }
    return undefined;
  }

  #begin({ request, body }: Continuation): Attempt {
    const { exchange, endpoint } = this.#attempt;
    const rest = exchange.redirectedTo(exchange.upstream, request, body ? bodyOfBytes(body) : NO_BODY);
    const now = this.#deps.clock.now();
    const attempt = new Attempt(rest, endpoint, new Cancellation(exchange.cancellation), now);
    attempt.classify = this.#first.classify;
    attempt.boundCredential = this.#first.credential;
    return attempt;
  }

  async #wait(): Promise<boolean> {
    const { options, random, clock } = this.#deps;
    this.#delays ??= delays(
      {
        kind: 'exponential',
        initialMs: options.initial,
        maxMs: options.max,
        multiplier: 2,
        jitter: 'equal',
        jitterRatio: 0,
      },
      random,
    );
    const waitMs = Math.max(this.#delays(), this.#askedMs);
    return (await sleep(clock, waitMs, this.#attempt.exchange.cancellation)) === 'elapsed';
  }
}

export const resume: PolicyModule<Attempt, typeof resumeSchema> = {
  name: 'resume',
  key: 'resume',
  schema: resumeSchema,
  onByDefault: true,
  suits: (dialect) => dialect.resumes !== undefined,
  build: (options, deps) => new Resume(options, deps),
};
