/** An endpoint and the way to it: the attempt policies that guard it, its connections, and what happened to it. */
import type { Candidate } from '../core/balancer.ts';
import type { Endpoint } from '../core/endpoint.ts';
import type { Attempt } from '../core/exchange.ts';
import type { Next } from '../core/policy.ts';
import type { Member } from './member.ts';

export interface ConnectionCounts {
  readonly connected: number;
  readonly free: number;
  readonly running: number;
}

/** The way to an endpoint. */
export interface Way {
  readonly send: Next<Attempt>;
  readonly connections: () => ConnectionCounts;
}

/** How long, and from what share on, an endpoint that has just come is spared. */
export interface SlowStart {
  /** 0: not at all. */
  readonly windowMs: number;
  /** Share of its weight that it begins with, above 0. */
  readonly from: number;
}

export class ReachableEndpoint implements Candidate {
  readonly endpoint: Endpoint;
  readonly member: Member;
  readonly send: Way['send'];
  readonly connections: Way['connections'];
  readonly #slowStart: SlowStart;
  readonly #now: () => number;

  constructor(
    endpoint: Endpoint,
    member: Member,
    way: Way,
    options: { slowStart: SlowStart; now: () => number },
  ) {
    this.endpoint = endpoint;
    this.member = member;
    this.send = way.send;
    this.connections = way.connections;
    this.#slowStart = options.slowStart;
    this.#now = options.now;
  }

  get name(): string {
    return this.endpoint.name;
  }

  get active(): number {
    return this.member.strain(this.#now());
  }

  get latencyMs(): number {
    return this.member.latencyMs(this.#now());
  }

  /** Those that have none are candidates where no other is left, and then all alike: balancers cannot share by nothing. */
  get weight(): number {
    const weight = this.endpoint.weight === 0 ? 1 : this.endpoint.weight;
    const { windowMs, from } = this.#slowStart;
    const age = this.#now() - this.member.availableSince;
    return age >= windowMs ? weight : weight * (from + (1 - from) * (age / windowMs));
  }
}
