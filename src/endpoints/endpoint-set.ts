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
    if (exchange.attempts.length === 0) return members[this.#balancer.pick(members.length)];
    const untried = members.filter(
      ({ endpoint }) => !exchange.attempts.some((a) => a.endpoint.name === endpoint.name),
    );
    const candidates = untried.length > 0 ? untried : members;
    return candidates[this.#balancer.pick(candidates.length)];
  }
}
