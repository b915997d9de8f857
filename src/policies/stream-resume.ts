/**
 * Goes on with an event stream that broke off, from its last event, without the client noticing. It stands outermost
 * around the attempt: to ask for the rest is an attempt of its own, with timers, credentials and a gate of its own.
 */
import { z } from 'zod';
import { delays } from '../algorithms/backoff.ts';
import type { BackoffOptions } from '../algorithms/backoff.ts';
import { Cancellation } from '../core/cancellation.ts';
import { sleep } from '../core/clock.ts';
import { AnswerFacts } from '../core/dialect.ts';
import { Attempt } from '../core/exchange.ts';
import type { RequestHead } from '../core/exchange.ts';
import { hasHeader, headerValue } from '../core/header-list.ts';
import { NO_BODY } from '../core/no-body.ts';
import { discard, whenOver } from '../core/outcome.ts';
import type { Completion, Outcome, ResponseOutcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { reasonOfCancel } from '../core/reasons.ts';
import { positiveCount, positiveDuration } from '../schema/scalars.ts';
import { ResumingBody } from '../streams/resuming-body.ts';
import type { Reopened } from '../streams/resuming-body.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** A stream that had broken off goes on; `attempt` is the one that brings its rest. */
    'stream-resumed': { readonly attempt: Attempt; readonly upstream: string; readonly tries: number };
    /** A stream that broke off could not be resumed: its client sees it break. */
    'stream-lost': { readonly attempt: Attempt; readonly upstream: string };
  }
}

export const streamResumeSchema = z
  .strictObject({
    maxTries: positiveCount
      .max(100)
      .default(5)
      .describe(
        'Tries in a row to go on with a stream. An event that can be resumed from starts the count anew.',
      ),
    initial: positiveDuration
      .prefault('200ms')
      .describe('Wait before the first try; it doubles from try to try.'),
    max: positiveDuration.prefault('5s').describe('No wait is longer.'),
  })
  .describe('Goes on with event streams that broke off, from their last event.');

export type StreamResumeOptions = z.output<typeof streamResumeSchema>;

const EVENT_STREAM = /^text\/event-stream\b/i;
/** Statuses with which a server says that there is nothing to go on with. */
const NEVER: ReadonlySet<number> = new Set([400, 401, 403, 404, 405, 410, 501]);

class StreamResume implements Policy<Attempt> {
  readonly name = 'stream-resume';
  readonly #options: StreamResumeOptions;
  readonly #deps: PolicyDeps;

  constructor(options: StreamResumeOptions, deps: PolicyDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async run(attempt: Attempt, next: Next<Attempt>, cancellation: Cancellation): Promise<Outcome> {
    const outcome = await next(attempt, cancellation);
    if (outcome.kind !== 'response' || !isReadableStream(outcome)) return outcome;
    const { exchange } = attempt;
    const { dialect } = exchange.upstream;
    const reader = dialect.follow?.(exchange.call, new AnswerFacts());
    if (!reader || !dialect.resumeRequest?.(exchange.request, '0')) return outcome;
    const wait = delays(this.#backoff, this.#deps.random);
    const body = new ResumingBody({
      first: outcome.body,
      reader,
      maxTries: this.#options.maxTries,
      reopen: (lastEventId, tries) => this.#reopen({ attempt, next, lastEventId, tries, waitMs: wait() }),
      giveUp: (completion) => this.#giveUp(attempt, completion),
    });
    return { ...outcome, body };
  }

  snapshot(): Snapshot {
    const { maxTries, initial, max } = this.#options;
    return { maxTries, initialMs: initial, maxMs: max };
  }

  dispose(): void {
    // Waits belong to exchanges and end with them.
  }

  get #backoff(): BackoffOptions {
    const { initial, max } = this.#options;
    const growth = { kind: 'exponential', multiplier: 2, jitter: 'equal', jitterRatio: 0 } as const;
    return { ...growth, initialMs: Math.min(initial, max), maxMs: max };
  }

  async #reopen({ attempt, next, lastEventId, tries, waitMs }: Reopening): Promise<Reopened> {
    const { exchange } = attempt;
    const { clock, emit, upstream } = this.#deps;
    await sleep(clock, waitMs, exchange.cancellation);
    const request = exchange.upstream.dialect.resumeRequest?.(exchange.request, lastEventId);
    if (exchange.cancellation.cancelled || !request) return 'never';
    const again = againOf(attempt, request, clock.now());
    const outcome = await next(again, again.cancellation);
    whenOver(outcome, () => again.cancellation.detach());
    if (outcome.kind === 'response' && isReadableStream(outcome)) {
      emit('stream-resumed', { attempt: again, upstream, tries });
      return outcome.body;
    }
    discard(outcome);
    return outcome.kind === 'response' && NEVER.has(outcome.head.status) ? 'never' : 'later';
  }

  #giveUp(attempt: Attempt, completion: Completion): Completion {
    const { reason } = attempt.exchange.cancellation;
    if (reason === undefined) {
      this.#deps.emit('stream-lost', { attempt, upstream: this.#deps.upstream });
      return completion;
    }
    const end = reason === 'client-aborted' ? 'client-aborted' : 'discarded';
    return { end, reason: reasonOfCancel(reason), bytes: completion.bytes };
  }
}

interface Reopening {
  readonly attempt: Attempt;
  readonly next: Next<Attempt>;
  readonly lastEventId: string;
  readonly tries: number;
  readonly waitMs: number;
}

/** At the same endpoint, which has the events. The timers of the first attempt have ended it, not its exchange. */
function againOf({ exchange, endpoint }: Attempt, request: RequestHead, now: number): Attempt {
  const asking = exchange.redirectedTo(exchange.upstream, request, NO_BODY);
  return new Attempt(asking, endpoint, new Cancellation(exchange.cancellation), now);
}

const isReadableStream = ({ head, tunnel }: ResponseOutcome): boolean =>
  head.status === 200 &&
  !tunnel &&
  EVENT_STREAM.test(headerValue(head.headers, 'content-type') ?? '') &&
  !hasHeader(head.headers, 'content-length') &&
  ['', 'identity'].includes(headerValue(head.headers, 'content-encoding')?.trim().toLowerCase() ?? '');

export const streamResume: PolicyModule<Attempt, typeof streamResumeSchema> = {
  name: 'stream-resume',
  key: 'streamResume',
  schema: streamResumeSchema,
  onByDefault: true,
  suits: (dialect) => dialect.resumeRequest !== undefined,
  build: (options, deps) => new StreamResume(options, deps),
};
