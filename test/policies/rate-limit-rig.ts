/** One rate limit with a fake clock: calls that are started and looked at later. */
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import type { PolicyDeps } from '../../src/core/policy.ts';
import { rateLimit } from '../../src/policies/rate-limit.ts';
import type { RateLimit } from '../../src/policies/rate-limit.ts';
import { rateLimitSchema } from '../../src/schema/rate-limits.ts';
import { settle } from '../support/fake-clock.ts';
import { Script, exchangeAt, finish, kit, respond } from '../support/policy-kit.ts';
import type { ExchangeParts, Kit, Step } from '../support/policy-kit.ts';

export interface Call {
  readonly exchange: Exchange;
  /** Milliseconds from the rig's start; undefined while it has not gone. */
  readonly wentAt: () => number | undefined;
  readonly outcome: () => Outcome | undefined;
}

export class RateLimitRig {
  readonly kit: Kit;
  policy: RateLimit;
  readonly #startedAt: number;

  constructor(options: object, deps: Partial<PolicyDeps> = {}) {
    this.kit = kit(deps);
    this.#startedAt = this.kit.clock.now();
    this.policy = this.#build(options);
  }

  get clock(): Kit['clock'] {
    return this.kit.clock;
  }

  /** A new configuration is put in force. */
  reload(options: object): void {
    this.policy = this.#build(options, this.policy);
  }

  start(parts: ExchangeParts = {}, ...steps: readonly Step<Exchange>[]): Call {
    const exchange = exchangeAt(this.clock, parts);
    const script = new Script<Exchange>(this.clock, ...(steps.length > 0 ? steps : [() => respond()]));
    let outcome: Outcome | undefined;
    void this.policy.run(exchange, script.next, exchange.cancellation).then((settled) => (outcome = settled));
    return {
      exchange,
      wentAt: () => script.calls[0] && script.calls[0].at - this.#startedAt,
      outcome: () => outcome,
    };
  }

  /** Starts a call and lets what needs no time happen. */
  async call(parts: ExchangeParts = {}, ...steps: readonly Step<Exchange>[]): Promise<Call> {
    const call = this.start(parts, ...steps);
    await settle();
    return call;
  }

  /** How many of so many calls go at once. */
  async admitted(count: number, parts: ExchangeParts = {}): Promise<number> {
    const calls = Array.from({ length: count }, () => this.start(parts));
    await settle();
    for (const { outcome } of calls) finish(outcome() ?? respond());
    return calls.filter(({ wentAt }) => wentAt() !== undefined).length;
  }

  /** To so many milliseconds after the rig's start. */
  until(ms: number): Promise<void> {
    return this.clock.advance(this.#startedAt + ms - this.clock.now());
  }

  #build(options: object, previous?: RateLimit): RateLimit {
    return rateLimit.build(rateLimitSchema.parse(options), this.kit.deps, previous) as RateLimit;
  }
}
