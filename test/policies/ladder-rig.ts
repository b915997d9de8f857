/** A fallback ladder with its own clock, the upstreams it may ask, and exchanges through it. */
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import type { Policy } from '../../src/core/policy.ts';
import { fallback } from '../../src/policies/fallback.ts';
import { settle } from '../support/fake-clock.ts';
import { Script, exchangeAt, identity, kit } from '../support/policy-kit.ts';
import type { ExchangeParts, Kit, Step } from '../support/policy-kit.ts';

export interface Climb {
  readonly exchange: Exchange;
  readonly primary: Script<Exchange>;
  readonly outcome: () => Outcome | undefined;
}

export class LadderRig {
  readonly kit: Kit;
  readonly policy: Policy<Exchange>;
  /** The other upstreams by name; each plays its script. */
  readonly others = new Map<string, Script<Exchange>>();

  constructor(options: unknown) {
    this.kit = kit({
      sendTo: (name) => {
        const script = this.others.get(name);
        return script && { identity: identity(name), send: script.next };
      },
    });
    this.policy = fallback.build(fallback.schema.parse(options), this.kit.deps, undefined);
  }

  get clock(): Kit['clock'] {
    return this.kit.clock;
  }

  /** Steps that were taken: name, trigger, whether it answered. */
  get taken(): readonly (readonly [string, string, boolean])[] {
    return this.kit.events
      .of('fallback-taken')
      .map(({ step, trigger, answered }) => [step, trigger, answered]);
  }

  /** Adds another upstream. */
  upstream(name: string, ...steps: Step<Exchange>[]): Script<Exchange> {
    const script = new Script<Exchange>(this.clock, ...steps);
    this.others.set(name, script);
    return script;
  }

  start(parts: ExchangeParts, ...steps: Step<Exchange>[]): Climb {
    const primary = new Script<Exchange>(this.clock, ...steps);
    const exchange = exchangeAt(this.clock, parts);
    let outcome: Outcome | undefined;
    const pending = this.policy.run(exchange, primary.next, exchange.cancellation);
    void pending.then((settled) => (outcome = settled));
    return { exchange, primary, outcome: () => outcome };
  }

  /** What an exchange brings without any time passing. */
  async outcomeOf(step: Step<Exchange>, parts: ExchangeParts = {}): Promise<Outcome> {
    const { outcome } = this.start(parts, step);
    await settle();
    const settled = outcome();
    if (!settled) throw new Error('there is no outcome yet');
    return settled;
  }
}
