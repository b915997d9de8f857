/** A circuit breaker with its own clock and no jitter, and calls through it that end as the test says. */
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import type { Random } from '../../src/core/random.ts';
import { CircuitBreaker, circuitBreaker } from '../../src/policies/circuit-breaker.ts';
import { settle } from '../support/fake-clock.ts';
import { Script, exchangeAt, fail, finish, kit, respond } from '../support/policy-kit.ts';
import type { Kit, Step } from '../support/policy-kit.ts';

export interface Call {
  readonly exchange: Exchange;
  readonly script: Script<Exchange>;
  readonly outcome: () => Outcome | undefined;
  /** False where the breaker refused it. */
  readonly passed: () => boolean;
}

const NO_JITTER: Random = { next: () => 0 };

export class BreakerRig {
  readonly kit: Kit;
  readonly policy: CircuitBreaker;

  constructor(options: object = {}, given: { random?: Random; previous?: BreakerRig } = {}) {
    const fresh = kit();
    this.kit = given.previous?.kit ?? fresh;
    const deps = { ...this.kit.deps, random: given.random ?? NO_JITTER };
    this.policy = new CircuitBreaker(circuitBreaker.schema.parse(options), deps, given.previous?.policy);
  }

  /** The same upstream after a reload. */
  reloaded(options: object): BreakerRig {
    return new BreakerRig(options, { previous: this });
  }

  get clock(): Kit['clock'] {
    return this.kit.clock;
  }

  get state(): string {
    return this.policy.state;
  }

  /** From one state to the next, with the milliseconds it stays open. */
  get changes(): readonly (readonly [string, string, number])[] {
    return this.kit.events.of('breaker-changed').map(({ from, to, openForMs }) => [from, to, openForMs]);
  }

  /** Starts a call whose end is the test's business. */
  start(...steps: Step<Exchange>[]): Call {
    const script = new Script<Exchange>(this.clock, ...steps);
    const exchange = exchangeAt(this.clock);
    let outcome: Outcome | undefined;
    const pending = this.policy.run(exchange, script.next, exchange.cancellation);
    void pending.then((settled) => (outcome = settled));
    return { exchange, script, outcome: () => outcome, passed: () => script.calls.length > 0 };
  }

  /** A call that is over, its body included. */
  async call(step: Step<Exchange> = respond()): Promise<Call> {
    const call = this.start(step);
    await settle();
    const outcome = call.outcome();
    if (outcome) finish(outcome);
    await settle();
    return call;
  }

  async succeed(times = 1): Promise<void> {
    for (let i = 0; i < times; i++) await this.call(respond());
  }

  async fail(times = 1): Promise<void> {
    for (let i = 0; i < times; i++) await this.call(fail('connection_reset'));
  }

  /** Opens it by as many failures as `consecutiveFailures` asks for by default. */
  async trip(): Promise<void> {
    await this.fail(5);
    if (this.state !== 'open') throw new Error('it did not open');
  }

  /** Opens it and waits until a probe may go. */
  async tripAndWait(ms = 15_000): Promise<void> {
    await this.trip();
    await this.clock.advance(ms);
  }
}
