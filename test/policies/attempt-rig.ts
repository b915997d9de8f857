/** One attempt under attempt-timeout's eyes, and a wire that does to it what the transport does. */
import type { Clock, TimerHandle } from '../../src/core/clock.ts';
import type { AnswerFacts } from '../../src/core/dialect.ts';
import type { Attempt } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import type { Next } from '../../src/core/policy.ts';
import type { RequestBody } from '../../src/core/request.ts';
import { attemptTimeout } from '../../src/policies/attempt-timeout.ts';
import { FakeClock } from '../support/fake-clock.ts';
import {
  ControlledBody,
  attemptAt,
  cancelledOutcome,
  exchangeAt,
  kit,
  respond,
} from '../support/policy-kit.ts';

/** Time can pass without a timer firing, as when the process is stopped and continued. */
export class StoppableClock implements Clock {
  readonly inner = new FakeClock();
  #stoppedMs = 0;

  stopFor(ms: number): void {
    this.#stoppedMs += ms;
  }

  now = (): number => this.inner.now() + this.#stoppedMs;
  wallTime = (): Date => this.inner.wallTime();
  wallMs = (): number => this.inner.wallMs();
  setTimer = (ms: number, fn: () => void): TimerHandle => this.inner.setTimer(ms, fn);
  setBackgroundTimer = (ms: number, fn: () => void): TimerHandle => this.inner.setTimer(ms, fn);
  clearTimer = (timer: TimerHandle): void => this.inner.clearTimer(timer);
}

/** Does to the attempt what the transport does to it. */
export class Wire {
  readonly body = new ControlledBody();
  readonly #clock: Clock;
  #attempt!: Attempt;
  #resolve!: (outcome: Outcome) => void;
  #headed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  readonly next: Next<Attempt> = (attempt, cancellation) => {
    this.#attempt = attempt;
    cancellation.onCancel((reason) => {
      attempt.phase = 'ended';
      if (this.#headed) this.body.failByCancel(reason);
      else this.#resolve(cancelledOutcome(reason));
    });
    return new Promise((resolve) => (this.#resolve = resolve));
  };

  /** A connection is there; the upload begins. */
  connect(): void {
    this.#enter('sending');
  }

  /** Bytes went out or came in. */
  progress(): void {
    this.#attempt.lastActivityAt = this.#clock.now();
  }

  sent(): void {
    this.#enter('waiting');
    this.#attempt.sentAt = this.#clock.now();
  }

  /** What somebody reads of the answer. */
  reading(answer: AnswerFacts): void {
    this.#attempt.answer = answer;
  }

  /** Bytes of the body. */
  receive(bytes: number): void {
    this.#attempt.receivedBytes += bytes;
    this.progress();
  }

  /** An interim answer: the transport tells the client and changes nothing else. */
  interim(): void {
    this.#attempt.exchange.onInformational?.(103, []);
  }

  head(): void {
    this.#enter('receiving');
    this.#headed = true;
    this.#resolve(respond(200, { body: this.body }));
  }

  pause(): void {
    this.#attempt.paused = true;
  }

  resume(): void {
    this.#attempt.paused = false;
    this.progress();
  }

  end(): void {
    this.#attempt.phase = 'ended';
    this.body.complete();
  }

  #enter(phase: Attempt['phase']): void {
    this.#attempt.phase = phase;
    this.progress();
  }
}

export function start(options: object, given: { clock?: Clock; body?: RequestBody } = {}) {
  const fake = new FakeClock();
  const clock = given.clock ?? fake;
  const { deps, events } = kit({ clock });
  const policy = attemptTimeout.build(attemptTimeout.schema.parse(options), deps, undefined);
  const wire = new Wire(clock);
  const exchange = exchangeAt(clock, given.body && { body: given.body });
  const attempt = attemptAt(clock, exchange);
  let outcome: Outcome | undefined;
  const pending = policy.run(attempt, wire.next, attempt.cancellation);
  void pending.then((settled) => (outcome = settled));
  return { clock: fake, wire, attempt, events, outcome: () => outcome };
}
