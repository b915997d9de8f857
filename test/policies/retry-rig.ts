/** A retry policy with its own clock, and exchanges through it. */
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { Retry, retry } from '../../src/policies/retry.ts';
import type { RetryRefusal } from '../../src/policies/retry.ts';
import { Script, exchangeAt, fail, kit } from '../support/policy-kit.ts';
import type { ExchangeParts, Kit, Step } from '../support/policy-kit.ts';

/** Delays that can be told beforehand. */
export const PLAIN = { backoff: { jitter: 'none' } } as const;

export const POST = { request: { method: 'POST' } } as const;

export const unsent = (): Outcome => fail('connection_refused', { requestSent: 'no' });
export const stale = (): Outcome => fail('connection_reset', { staleConnection: true });

export interface Run {
  readonly exchange: Exchange;
  readonly script: Script<Exchange>;
  readonly outcome: () => Outcome | undefined;
}

export class RetryRig {
  readonly kit: Kit;
  readonly policy: Retry;

  constructor(options: object = {}, previous?: RetryRig) {
    const fresh = kit();
    this.kit = previous?.kit ?? fresh;
    this.policy = new Retry(retry.schema.parse(options), this.kit.deps, previous?.policy);
  }

  /** The same upstream after a reload. */
  reloaded(options: object): RetryRig {
    return new RetryRig(options, this);
  }

  get clock(): Kit['clock'] {
    return this.kit.clock;
  }

  get events(): Kit['events'] {
    return this.kit.events;
  }

  get refusals(): RetryRefusal[] {
    return this.events.of('retry-refused').map(({ why }) => why);
  }

  start(parts: ExchangeParts, ...steps: Step<Exchange>[]): Run {
    const script = new Script<Exchange>(this.clock, ...steps);
    const exchange = exchangeAt(this.clock, parts);
    let outcome: Outcome | undefined;
    const pending = this.policy.run(exchange, script.next, exchange.cancellation);
    void pending.then((settled) => (outcome = settled));
    return { exchange, script, outcome: () => outcome };
  }

  async toTheEnd(parts: ExchangeParts, ...steps: Step<Exchange>[]): Promise<Run> {
    const run = this.start(parts, ...steps);
    await this.clock.advance(600_000);
    return run;
  }
}
