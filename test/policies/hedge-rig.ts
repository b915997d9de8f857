/** A hedge policy with its own clock above real endpoint selection, and calls through it; the wire is the test's. */
import { RoundRobin } from '../../src/balancing/round-robin.ts';
import type { Cancellation } from '../../src/core/cancellation.ts';
import type { Attempt, Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { generic } from '../../src/dialects/generic.ts';
import { classifier } from '../../src/endpoints/classify.ts';
import { selectEndpoint } from '../../src/endpoints/select-endpoint.ts';
import { Hedge, hedge } from '../../src/policies/hedge.ts';
import type { HedgeRefusal } from '../../src/policies/hedge.ts';
import { Script, after, exchangeAt, finish, kit, respond } from '../support/policy-kit.ts';
import { endpointSetOf } from '../support/endpoint-sets.ts';
import type { ExchangeParts, Kit, Step } from '../support/policy-kit.ts';

export interface Call {
  readonly exchange: Exchange;
  /** Its attempts as the wire saw them. */
  readonly wire: Script<Attempt>;
  readonly outcome: () => Outcome | undefined;
}

const ENDPOINTS = ['http://a.test', 'http://b.test', 'http://c.test'];

export class HedgeRig {
  readonly kit: Kit;
  readonly policy: Hedge;
  readonly #balancer = new RoundRobin();

  constructor(options: object = {}, previous?: HedgeRig) {
    this.kit = previous?.kit ?? kit();
    this.policy = new Hedge(hedge.schema.parse(options), this.kit.deps, previous?.policy);
  }

  /** The same upstream after a reload. */
  reloaded(options: object): HedgeRig {
    return new HedgeRig(options, this);
  }

  get clock(): Kit['clock'] {
    return this.kit.clock;
  }

  get events(): Kit['events'] {
    return this.kit.events;
  }

  get refusals(): HedgeRefusal[] {
    return this.events.of('hedge-refused').map(({ why }) => why);
  }

  get winners(): string[] {
    return this.events.of('hedge-won').map(({ by }) => by);
  }

  /** @param parts with `deadlineInMs` from now, and `prepare` for what else the exchange is to hold */
  start(parts: ExchangeParts & CallParts, ...steps: readonly Step<Attempt>[]): Call {
    const { deadlineInMs, prepare, ...rest } = parts;
    const wire = new Script<Attempt>(this.clock, ...steps);
    const exchange = exchangeAt(this.clock, rest);
    if (deadlineInMs !== undefined) exchange.deadlineAt = this.clock.now() + deadlineInMs;
    prepare?.(exchange);
    const judge = classifier([], generic, () => this.clock.wallTime());
    const { clock, emit, upstream } = this.kit.deps;
    const set = endpointSetOf(ENDPOINTS, wire.next, this.clock, { balancer: this.#balancer });
    const select = selectEndpoint(set, judge, { clock, emit, upstream });
    let outcome: Outcome | undefined;
    void this.policy.run(exchange, select, exchange.cancellation).then((settled) => (outcome = settled));
    return { exchange, wire, outcome: () => outcome };
  }

  /** A call that is answered after `ms`, body included. */
  async take(ms: number, outcome: Outcome = respond()): Promise<void> {
    const call = this.start({}, inTime(this, ms, outcome));
    await this.clock.advance(ms);
    finish(call.outcome() ?? outcome);
  }
}

export interface CallParts {
  readonly deadlineInMs?: number;
  readonly prepare?: (exchange: Exchange) => void;
}

/** An attempt that brings `outcome` after `ms`, unless it is cancelled before. */
export const inTime =
  ({ clock }: HedgeRig, ms: number, outcome: Outcome) =>
  (attempt: Attempt, cancellation: Cancellation): Promise<Outcome> =>
    after(clock, ms, outcome)(attempt, cancellation);

/** What became of each attempt, in order: its endpoint, and how it ended. */
export const trailOf = ({ exchange }: Call): string[] =>
  exchange.attempts.map(
    ({ endpoint, status, reason, spare }) =>
      `${endpoint.name.slice(7, 8)} ${status ?? reason ?? 'pending'}${spare ? ' spare' : ''}`,
  );
