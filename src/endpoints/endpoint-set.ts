/** The endpoints of one upstream: which there are, how to reach each, and which one is next. */
import type { Balancer } from '../core/balancer.ts';
import type { Endpoint } from '../core/endpoint.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Attempt } from '../core/exchange.ts';
import type { ResponseHead } from '../core/outcome.ts';
import type { Next } from '../core/policy.ts';
import type { Sessions } from './sessions.ts';

export interface ConnectionCounts {
  readonly connected: number;
  readonly free: number;
  readonly running: number;
}

/** An endpoint and the way to it: the attempt policies that guard it, and its connections. */
export interface ReachableEndpoint {
  readonly endpoint: Endpoint;
  readonly send: Next<Attempt>;
  readonly connections: () => ConnectionCounts;
}

export class EndpointSet {
  readonly members: readonly ReachableEndpoint[];
  readonly #balancer: Balancer;
  readonly #sessions: Sessions | undefined;

  /** @param sessions what belongs to a session goes where the session lives */
  constructor(members: readonly ReachableEndpoint[], balancer: Balancer, sessions?: Sessions) {
    this.members = members;
    this.#balancer = balancer;
    this.#sessions = sessions;
  }

  /**
   * An endpoint that this exchange has not tried yet and does not try now, while there is one; undefined only when there
   * is none at all.
   */
  pick(exchange: Exchange): ReachableEndpoint | undefined {
    const { members } = this;
    if (members.length <= 1) return members[0];
    return this.#homeOf(exchange) ?? this.#balanced(exchange);
  }

  /** Where a session lives is learnt from the answers. */
  answered({ request }: Exchange, { name }: Endpoint, head: ResponseHead): void {
    if (this.members.length > 1) this.#sessions?.answered(request, head, name);
  }

  /**
   * The endpoint that keeps the session, also for another try: no other knows it. Once it turned out to be out of reach,
   * any is as good: with luck they share their sessions, else a 404 makes the client begin a new one.
   */
  #homeOf(exchange: Exchange): ReachableEndpoint | undefined {
    const home = this.#sessions?.endpointOf(exchange.request);
    if (home === undefined) return undefined;
    const lost = exchange.attempts.some(
      ({ endpoint, sent, status, reason }) =>
        endpoint.name === home && sent === 'no' && status === undefined && reason !== 'superseded',
    );
    return lost ? undefined : this.members.find(({ endpoint }) => endpoint.name === home);
  }

  #balanced(exchange: Exchange): ReachableEndpoint | undefined {
    const { members } = this;
    return members[this.#balancer.pick(members.length, this.#tried(exchange))];
  }

  /** A ladder's attempts are in one list: only those at endpoints of this upstream count here. */
  #tried({ attempts, upstream }: Exchange): number[] {
    const own = attempts.filter((attempt) => attempt.exchange.upstream === upstream);
    return own.map(({ endpoint }) => this.members.findIndex((one) => one.endpoint.name === endpoint.name));
  }
}
