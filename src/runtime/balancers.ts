/** From the section `balance` to live balancers. */
import { ConsistentHash } from '../balancing/consistent-hash.ts';
import { LeastRequest } from '../balancing/least-request.ts';
import { PeakEwmaBalancer } from '../balancing/peak-ewma.ts';
import { RandomChoice } from '../balancing/random.ts';
import { RoundRobin } from '../balancing/round-robin.ts';
import { WeightedRandom } from '../balancing/weighted-random.ts';
import { WeightedRoundRobin } from '../balancing/weighted-round-robin.ts';
import type { Balancer } from '../core/balancer.ts';
import type { UpstreamConfig } from '../config/schema.ts';
import type { Random } from '../core/random.ts';
import { affinityOf } from '../endpoints/affinity.ts';
import type { EndpointSetDeps, EndpointSetOptions } from '../endpoints/endpoint-set.ts';
import type { BalanceOptions } from '../schema/balance.ts';

export function balancerOf(algorithm: BalanceOptions['algorithm'], random: Random): Balancer {
  switch (algorithm) {
    case 'weighted-round-robin':
      return new WeightedRoundRobin();
    case 'round-robin':
      return new RoundRobin();
    case 'random':
      return new RandomChoice(random);
    case 'weighted-random':
      return new WeightedRandom(random);
    case 'least-request':
      return new LeastRequest(random);
    case 'peak-ewma':
      return new PeakEwmaBalancer(random);
  }
}

/** Undefined where nothing keeps calls together. */
export function affinityFor({ affinity }: BalanceOptions, random: Random): EndpointSetDeps['affinity'] {
  if (!affinity) return undefined;
  const { by, prefix, maxLoad } = affinity;
  const loadFactor = maxLoad === false ? Number.POSITIVE_INFINITY : maxLoad;
  return { ...affinityOf(by, prefix), balancer: new ConsistentHash(random, loadFactor) };
}

export function setOptionsOf({ balance, healthCheck }: UpstreamConfig): EndpointSetOptions {
  const { panicThreshold, slowStart, zone } = balance;
  return {
    checked: Boolean(healthCheck),
    panicThreshold,
    slowStart: { windowMs: slowStart.window, from: slowStart.from },
    zone,
  };
}
