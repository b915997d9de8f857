/** An upstream of several endpoints whose calls end as the test says, with the real roster and choice among them. */
import type { z } from 'zod';
import { Attempt } from '../../src/core/exchange.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import type { Ejections } from '../../src/core/ejections.ts';
import type { EndpointSet, EndpointSetOptions } from '../../src/endpoints/endpoint-set.ts';
import { Roster } from '../../src/endpoints/roster.ts';
import type { Member } from '../../src/endpoints/member.ts';
import { OutlierDetection, outlierDetection } from '../../src/policies/outlier-detection.ts';
import { endpointSetOf } from '../support/endpoint-sets.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { EventLog, exchangeAt, fail, finish, kit, respond } from '../support/policy-kit.ts';
import type { ExchangeParts } from '../support/policy-kit.ts';

export type Options = z.input<typeof outlierDetection.schema>;

/** Ends a call that {@link OutlierRig.hold} holds. */
export type Answer = (outcome: Outcome) => Promise<void>;

export const refused = (): Outcome => fail('connection_refused', { requestSent: 'no' });

export interface RigParts {
  readonly options?: Options;
  readonly set?: EndpointSetOptions;
  readonly clock?: FakeClock;
}

type Described = Readonly<Record<string, Omit<EndpointDescription, 'url'>>>;

export class OutlierRig {
  readonly clock: FakeClock;
  readonly events = new EventLog();
  readonly roster: Roster;
  readonly set: EndpointSet;
  policy: OutlierDetection;

  /** @param endpoints names of one letter, or such with what is said of them */
  constructor(endpoints: string | Described, { options = {}, set, clock = new FakeClock() }: RigParts = {}) {
    this.clock = clock;
    this.roster = new Roster({ clock, emit: this.events.emit, upstream: 'main' });
    const described: Described =
      typeof endpoints === 'string'
        ? Object.fromEntries([...endpoints].map((name) => [name, {}]))
        : endpoints;
    this.set = endpointSetOf(
      Object.entries(described).map(([name, parts]) => ({ url: urlOf(name), ...parts })),
      () => Promise.resolve(respond()),
      clock,
      { roster: this.roster, ...(set && { options: set }) },
    );
    this.set.takeOver();
    this.policy = this.#build(options, undefined);
  }

  /** As after a reload with other options. */
  reload(options: Options): void {
    this.policy = this.#build(options, this.policy);
  }

  member(name: string): Member {
    return this.roster.member(urlOf(name));
  }

  /** Letters of those that are given calls, `!` before them in a panic. */
  get inUse(): string {
    return (this.set.panicking ? '!' : '') + this.chosen(this.set.members.length * 2);
  }

  /** Letters of those that so many calls would go to, each once. */
  chosen(calls: number, parts: ExchangeParts = {}): string {
    const names = Array.from({ length: calls }, () => letterOf(this.pick(parts)));
    return [...new Set(names)].sort().join('');
  }

  /** Where a call would go, without its being made. */
  pick(parts: ExchangeParts = {}): string {
    return this.set.pick(exchangeAt(this.clock, parts))?.name ?? '';
  }

  /** A call to that endpoint that ends at once. */
  async call(name: string, outcome: Outcome = respond()): Promise<void> {
    await (
      await this.hold(name)
    )(outcome);
    finish(outcome);
    await settle();
  }

  /** So many of them. */
  async calls(name: string, ...outcomes: readonly Outcome[]): Promise<void> {
    for (const outcome of outcomes) await this.call(name, outcome);
  }

  /** A call to that endpoint that goes on until it is answered. */
  async hold(name: string, parts: ExchangeParts = {}): Promise<Answer> {
    return this.#begin(exchangeAt(this.clock, parts), name);
  }

  /** The same, to the endpoint that is chosen for it. */
  async send(parts: ExchangeParts = {}): Promise<{ readonly at: string; readonly answer: Answer }> {
    const exchange = exchangeAt(this.clock, parts);
    const at = letterOf(this.set.pick(exchange)?.name ?? '');
    return { at, answer: this.#begin(exchange, at) };
  }

  told(name: 'endpoint-ejected' | 'endpoint-returned' | 'ejection-withheld'): string[] {
    return this.events.of(name).map((event) => {
      const { endpoint, ...rest } = event;
      const why = 'why' in rest ? rest.why : 'by' in rest ? rest.by : rest.reason;
      return `${letterOf(endpoint)} ${why}`;
    });
  }

  /** Until the ejection of that endpoint is over, jitter included. */
  async untilDue(name: string): Promise<void> {
    const rows = this.policy.snapshot()['endpoints'] as readonly { endpoint: string; forMs: number }[];
    const { forMs = 0 } = rows.find(({ endpoint }) => endpoint === urlOf(name)) ?? {};
    await this.clock.advance(forMs + 1);
  }

  #begin(exchange: Exchange, name: string): Answer {
    const endpoint = this.set.members.find((one) => one.name === urlOf(name))?.endpoint;
    if (!endpoint) throw new Error(`there is no endpoint ${name}`);
    const attempt = new Attempt(exchange, endpoint, exchange.cancellation, this.clock.now());
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const run = this.policy.run(attempt, () => promise, attempt.cancellation);
    return async (outcome) => {
      resolve(outcome);
      await run;
      await settle();
    };
  }

  #build(options: Options, previous: OutlierDetection | undefined): OutlierDetection {
    const ejections: Ejections = this.roster;
    const { deps } = kit({ clock: this.clock, emit: this.events.emit, ejections });
    return new OutlierDetection(outlierDetection.schema.parse(options), deps, previous);
  }
}

export const urlOf = (name: string): string => `http://${name}.test`;

const letterOf = (url: string): string => url.slice('http://'.length, 'http://'.length + 1);
