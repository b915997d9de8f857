/** The endpoints of one upstream: which there are, how to reach each, and which one is next. */
import type { Balancer } from '../core/balancer.ts';
import type { Endpoint } from '../core/endpoint.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Attempt } from '../core/exchange.ts';
import type { Next } from '../core/policy.ts';

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

  constructor(members: readonly ReachableEndpoint[], balancer: Balancer) {
    this.members = members;
    this.#balancer = balancer;
  }

  /** An endpoint that this exchange has not tried yet, while there is one; undefined only when there is none at all. */
  pick(exchange: Exchange): ReachableEndpoint | undefined {
    const { members } = this;
    if (members.length <= 1) return members[0];
    return members[this.#balancer.pick(members.length, this.#tried(exchange))];
  }

  /** A ladder's attempts are in one list: only those at endpoints of this upstream count here. */
  #tried({ attempts, upstream }: Exchange): number[] {
    const own = attempts.filter((attempt) => attempt.exchange.upstream === upstream);
    return own.map(({ endpoint }) => this.members.findIndex((one) => one.endpoint.name === endpoint.name));
  }
}
