/**
 * Bounds each phase of one attempt: connecting, waiting for the answer's head, and every silence after it. Each attempt
 * has its own clock. It stands close to the transport so that everything above sees a timeout as a failure like others.
 */
import { z } from 'zod';
import { LearntDuration } from '../algorithms/learnt-duration.ts';
import type { Cancellation, CancelReason } from '../core/cancellation.ts';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Attempt } from '../core/exchange.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { learntDurationOf, learntSchema } from '../schema/learnt.ts';
import { positiveDuration, size } from '../schema/scalars.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** A timer of one attempt fired; the attempt is cancelled at the upstream. */
    'attempt-timed-out': {
      readonly attempt: Attempt;
      readonly upstream: string;
      readonly reason: CancelReason;
      readonly afterMs: number;
    };
  }
}

const bound = (text: string, fallback: string | false) =>
  z
    .union([z.literal(false), positiveDuration])
    .prefault(fallback)
    .describe(`${text} \`false\`: no bound.`);

export const attemptTimeoutSchema = z
  .strictObject({
    connect: bound('Longest time to get a connection: name, TCP and TLS.', '5s'),
    firstByte: z
      .union([
        z.literal(false),
        positiveDuration,
        learntSchema('the time from the request being sent to the head of a good answer', {
          min: '1s',
          max: '60s',
          factor: 1.5,
        }),
      ])
      .prefault('60s')
      .describe(
        'Longest time from the request being sent to the final response head: fixed, or learnt. Interim (1xx) answers do not extend it. `false`: no bound.',
      ),
    firstToken: bound(
      'Longest time from the request being sent to the first word of a streamed answer, where the dialect can tell. Preambles and pings do not count.',
      false,
    ),
    idle: bound(
      'Longest silence while a body is on its way, in either direction. Time in which the client does not read is not counted.',
      '120s',
    ),
    minProgress: z
      .union([
        z.literal(false),
        z.strictObject({
          bytes: size.describe('Bytes of body that must arrive.'),
          per: positiveDuration.describe('In every stretch of this length.'),
        }),
      ])
      .default(false)
      .describe(
        'Least that must come once an answer has begun; comments of a keep-alive count, too. Time in which the client does not read is not counted. `false`: an answer may trickle.',
      ),
  })
  .describe('Timers of one attempt. Each attempt starts with fresh ones.');

export type AttemptTimeoutOptions = z.output<typeof attemptTimeoutSchema>;

/** A timer that fires this late says that the process stood still, not the upstream. */
const FROZEN_MS = 250;
/** Time to read what arrived during a standstill before silence is believed. */
const GRACE_MS = 50;

/** The bounds as they are for one attempt. */
interface Bounds extends Omit<AttemptTimeoutOptions, 'firstByte'> {
  readonly firstByte: number | false;
  /** The shortest of them; Infinity where there is none. */
  readonly shortest: number;
}

function boundsWith(options: AttemptTimeoutOptions, firstByte: number | false): Bounds {
  const { connect, firstToken, idle, minProgress } = options;
  const all = [connect, firstByte, firstToken, idle, minProgress && minProgress.per];
  return { ...options, firstByte, shortest: Math.min(...all.map((bound) => after(0, bound))) };
}

class AttemptTimeout implements Policy<Attempt> {
  readonly name = 'attempt-timeout';
  readonly #options: AttemptTimeoutOptions;
  readonly #deps: PolicyDeps;
  readonly #firstByte: LearntDuration | undefined;
  /** Those that are there until something is learnt, and for good where nothing is to be. */
  readonly #configured: Bounds;

  constructor(options: AttemptTimeoutOptions, deps: PolicyDeps, previous: Policy<Attempt> | undefined) {
    this.#options = options;
    this.#deps = deps;
    const { firstByte } = options;
    this.#configured = boundsWith(options, typeof firstByte === 'object' ? firstByte.max : firstByte);
    const before = previous instanceof AttemptTimeout ? previous.#firstByte : undefined;
    if (typeof firstByte === 'object')
      this.#firstByte = new LearntDuration(learntDurationOf(firstByte), before);
  }

  async run(attempt: Attempt, next: Next<Attempt>, cancellation: Cancellation): Promise<Outcome> {
    const pending = next(attempt, cancellation);
    const watch = new Watch(attempt, this.#bounds, this.#deps);
    watch.start();
    const outcome = await pending;
    if (outcome.kind !== 'response' || outcome.tunnel) watch.stop();
    else {
      watch.headCame();
      outcome.body.onEnd(() => watch.stop());
    }
    if (this.#firstByte) this.#learn(this.#firstByte, attempt, outcome);
    return outcome;
  }

  snapshot(): Snapshot {
    const { connect, firstByte, firstToken, idle, minProgress } = this.#bounds;
    return {
      connectMs: connect,
      firstByteMs: firstByte,
      firstTokenMs: firstToken,
      idleMs: idle,
      ...(this.#firstByte && { firstByteSamples: this.#firstByte.samples(this.#deps.clock.now()) }),
      ...(minProgress && { minProgressBytes: minProgress.bytes, minProgressPerMs: minProgress.per }),
    };
  }

  get #bounds(): Bounds {
    const learntMs = this.#firstByte?.ms(this.#deps.clock.now());
    return learntMs === undefined ? this.#configured : boundsWith(this.#options, learntMs);
  }

  #learn(durations: LearntDuration, attempt: Attempt, outcome: Outcome): void {
    const { sentAt, headAt } = attempt;
    if (outcome.kind === 'rejection' || sentAt === undefined) return;
    const now = this.#deps.clock.now();
    // What was cut off would have taken longer: were it left out, the bound would shrink by its own doing.
    const cutOff = outcome.kind === 'failure' && outcome.reason === 'first_byte_timeout';
    const good = cutOff || attempt.judge(outcome).result === 'success';
    durations.observe((headAt ?? now) - sentAt, good, now);
  }

  dispose(): void {
    // Timers belong to attempts and end with them.
  }
}

/** One timer per attempt, whatever the phase: progress is a timestamp to compare, never a timer to re-arm. */
class Watch {
  readonly #attempt: Attempt;
  readonly #options: Bounds;
  readonly #clock: Clock;
  readonly #deps: PolicyDeps;
  #timer: TimerHandle | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #stopped = false;
  /** The stretch whose progress is being measured. */
  #stretch: { since: number; bytes: number } | undefined;

  constructor(attempt: Attempt, options: Bounds, deps: PolicyDeps) {
    this.#attempt = attempt;
    this.#options = options;
    this.#clock = deps.clock;
    this.#deps = deps;
  }

  /** Arms the timer. Until the head is here, phases change unseen: it looks when the shortest bound could be over. */
  start(): void {
    this.#arm(this.#attempt.startedAt + this.#options.shortest, this.#attempt.startedAt);
  }

  /** The head is here: moves the timer nearer when there is a nearer bound now. */
  headCame(): void {
    if (this.#stopped) return;
    // As armed at first it comes before any bound, unless that counts from now on.
    const isFirst = this.#dueAt === this.#attempt.startedAt + this.#options.shortest;
    if (isFirst && this.#options.minProgress === false) return;
    const { dueAt } = this.#bound();
    if (dueAt < this.#dueAt) this.#arm(dueAt);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  #arm(dueAt: number, now = this.#clock.now()): void {
    if (this.#timer) this.#clock.clearTimer(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = undefined;
    if (dueAt === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#clock.setTimer(Math.max(0, dueAt - now), this.#check);
  }

  readonly #check = (): void => {
    this.#timer = undefined;
    if (this.#stopped || this.#attempt.phase === 'ended') return;
    const now = this.#clock.now();
    const { dueAt, reason } = this.#bound();
    // Timers may fire a fraction of a millisecond early.
    if (dueAt - now > 1) this.#arm(Math.min(dueAt, this.#soonest()), now);
    else if (now - this.#dueAt > FROZEN_MS) this.#arm(now + GRACE_MS, now);
    else this.#expire(reason, now);
  };

  #expire(reason: CancelReason, now: number): void {
    const attempt = this.#attempt;
    this.stop();
    this.#deps.emit('attempt-timed-out', {
      attempt,
      upstream: this.#deps.upstream,
      reason,
      afterMs: now - attempt.startedAt,
    });
    attempt.cancellation.cancel(reason);
  }

  /** The bound of the phase the attempt is in. */
  #bound(): Bound {
    const attempt = this.#attempt;
    const { connect, firstByte, idle } = this.#options;
    switch (attempt.phase) {
      case 'connecting':
        return { dueAt: after(attempt.startedAt, connect), reason: 'connect-timeout' };
      case 'waiting':
        return { dueAt: after(attempt.lastActivityAt, firstByte), reason: 'first-byte-timeout' };
      case 'sending':
        // The upstream cannot be blamed for a client that does not send, nor below for one that does not read.
        return {
          dueAt: after(
            attempt.exchange.body.waitingForClient ? this.#clock.now() : attempt.lastActivityAt,
            idle,
          ),
          reason: 'write-timeout',
        };
      case 'receiving':
        return soonestOf(
          {
            dueAt: after(attempt.paused ? this.#clock.now() : attempt.lastActivityAt, idle),
            reason: 'idle-timeout',
          },
          this.#firstTokenBound(),
          this.#progressBound(),
        );
      case 'ended':
        return { dueAt: Number.POSITIVE_INFINITY, reason: 'idle-timeout' };
    }
  }

  /** Only answers that are being read can be waited for in this way. */
  #firstTokenBound(): Bound {
    const { answer, sentAt, startedAt } = this.#attempt;
    const waiting = answer?.streamed === true && answer.firstTokenAt === undefined;
    return {
      dueAt: waiting ? after(sentAt ?? startedAt, this.#options.firstToken) : Number.POSITIVE_INFINITY,
      reason: 'first-token-timeout',
    };
  }

  #progressBound(): Bound {
    const { minProgress } = this.#options;
    const attempt = this.#attempt;
    if (minProgress === false) return { dueAt: Number.POSITIVE_INFINITY, reason: 'too-slow' };
    const now = this.#clock.now();
    this.#stretch ??= { since: now, bytes: attempt.receivedBytes };
    const over = now - this.#stretch.since >= minProgress.per;
    const enough = attempt.receivedBytes - this.#stretch.bytes >= minProgress.bytes;
    // A pause of the client's starts the measurement anew.
    if (attempt.paused || (over && enough)) this.#stretch = { since: now, bytes: attempt.receivedBytes };
    return { dueAt: after(this.#stretch.since, minProgress.per), reason: 'too-slow' };
  }

  /** See `start`. */
  #soonest(): number {
    const { phase } = this.#attempt;
    if (phase === 'receiving' || phase === 'ended') return Number.POSITIVE_INFINITY;
    return this.#clock.now() + this.#options.shortest;
  }
}

interface Bound {
  readonly dueAt: number;
  readonly reason: CancelReason;
}

const soonestOf = (...bounds: readonly Bound[]): Bound =>
  bounds.reduce((nearest, bound) => (bound.dueAt < nearest.dueAt ? bound : nearest));

const after = (instant: number, ms: number | false): number =>
  ms === false ? Number.POSITIVE_INFINITY : instant + ms;

export const attemptTimeout: PolicyModule<Attempt, typeof attemptTimeoutSchema> = {
  name: 'attempt-timeout',
  key: 'attemptTimeout',
  schema: attemptTimeoutSchema,
  onByDefault: true,
  build: (options, deps, previous) => new AttemptTimeout(options, deps, previous),
};
