/**
 * Eight servers, one of which is not like the others: it is slow, or fails at once, or stands still now and then. Which
 * balancer gives it how much, and what callers see of it. Selection and balancers are the real ones; nothing else helps:
 * no retries, no breaker, no ejection.
 */
import { ConsistentHash } from '../../../src/balancing/consistent-hash.ts';
import type { Balancer } from '../../../src/core/balancer.ts';
import type { EndpointDescription } from '../../../src/core/endpoint.ts';
import { seededRandom } from '../../../src/core/random.ts';
import type { Random } from '../../../src/core/random.ts';
import { generic } from '../../../src/dialects/generic.ts';
import { affinityOf } from '../../../src/endpoints/affinity.ts';
import { classifier } from '../../../src/endpoints/classify.ts';
import { selectEndpoint } from '../../../src/endpoints/select-endpoint.ts';
import { balancerOf } from '../../../src/runtime/balancers.ts';
import { endpointSetOf } from '../../../test/support/endpoint-sets.ts';
import { FakeClock } from '../../../test/support/fake-clock.ts';
import { exchangeAt, finish } from '../../../test/support/policy-kit.ts';
import { PlainServer } from './plain-server.ts';
import type { PlainServerOptions } from './plain-server.ts';

export const BALANCING = {
  servers: 8,
  workers: 8,
  meanWorkMs: 50,
  callsPerSecond: 80,
  agents: 200,
  lastsMs: 60_000,
} as const;

const WELL: PlainServerOptions = { workers: BALANCING.workers, meanWorkMs: BALANCING.meanWorkMs };

/** What the first of the servers is like. */
export const ODD_ONES = {
  'ten times slower': { ...WELL, meanWorkMs: 10 * BALANCING.meanWorkMs },
  'fails at once': { ...WELL, failsAfterMs: 1 },
  'stands still for 2 s every 10 s': { ...WELL, pauses: { everyMs: 10_000, ms: 2_000 } },
} as const satisfies Readonly<Record<string, PlainServerOptions>>;

export type OddOne = keyof typeof ODD_ONES;

export interface Contestant {
  readonly balancer: (random: Random) => Balancer;
  /** Weight of the first server; the others have 1. */
  readonly weight?: number;
  readonly byAgent?: true;
}

export const BALANCERS = {
  'round-robin': { balancer: (random) => balancerOf('round-robin', random) },
  'weighted-round-robin': { balancer: (random) => balancerOf('weighted-round-robin', random) },
  'weighted-round-robin, weight 0.1': {
    balancer: (random) => balancerOf('weighted-round-robin', random),
    weight: 0.1,
  },
  random: { balancer: (random) => balancerOf('random', random) },
  'least-request': { balancer: (random) => balancerOf('least-request', random) },
  'peak-ewma': { balancer: (random) => balancerOf('peak-ewma', random) },
  'affinity by agent': { balancer: (random) => balancerOf('least-request', random), byAgent: true },
} as const satisfies Readonly<Record<string, Contestant>>;

export type BalancerName = keyof typeof BALANCERS;

export interface BalancingRun {
  /** Milliseconds to the answers that were none of errors, ascending. */
  readonly latencies: readonly number[];
  /** Calls that ended badly, by all. */
  readonly errorRatio: number;
  /** Calls that the odd one was given, by all. */
  readonly oddShare: number;
}

/** @param share 0–1 */
export function quantile({ latencies }: BalancingRun, share: number): number {
  return latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? 0;
}

/** The same seed, the same arrivals, and the same run. */
export async function playBalancing(
  contestant: Contestant,
  oddOne: PlainServerOptions,
  seed = 11,
): Promise<BalancingRun> {
  const { callsPerSecond, lastsMs, agents } = BALANCING;
  const clock = new FakeClock();
  const cluster = clusterOf(clock, contestant, { oddOne, seed });
  const arrivals = seededRandom(seed);
  const endsAt = clock.now() + lastsMs;
  const latencies: number[] = [];
  let [calls, errors] = [0, 0];

  async function call(): Promise<void> {
    calls += 1;
    const exchange = exchangeAt(clock, { agentId: `agent-${Math.floor(arrivals.next() * agents)}` });
    const beganAt = clock.now();
    const outcome = await cluster.select(exchange, exchange.cancellation);
    finish(outcome);
    if (outcome.verdict.class === 'ok') latencies.push(clock.now() - beganAt);
    else errors += 1;
  }

  function arrive(): void {
    if (clock.now() >= endsAt) return;
    void call();
    clock.setTimer((-Math.log(1 - arrivals.next()) * 1_000) / callsPerSecond, arrive);
  }

  arrive();
  await clock.advance(lastsMs);
  // What is under way comes to its end.
  while (clock.pendingTimers > 0) await clock.advance(1_000);
  latencies.sort((a, b) => a - b);
  return { latencies, errorRatio: errors / calls, oddShare: cluster.oddCalls() / calls };
}

function clusterOf(
  clock: FakeClock,
  { balancer, weight = 1, byAgent }: Contestant,
  { oddOne, seed }: { readonly oddOne: PlainServerOptions; readonly seed: number },
) {
  const servers = Array.from({ length: BALANCING.servers }, (_, i): [EndpointDescription, PlainServer] => [
    { url: `http://s${i}.test`, weight: i === 0 ? weight : 1 },
    new PlainServer(clock, seededRandom(seed * 100 + i), i === 0 ? oddOne : WELL),
  ]);
  const byName = new Map(servers.map(([{ url }, server]) => [url, server]));
  const random = seededRandom(seed + 1);
  const set = endpointSetOf(
    servers.map(([description]) => description),
    (attempt) => (byName.get(attempt.endpoint.name) as PlainServer).send(attempt),
    clock,
    {
      balancer: balancer(random),
      ...(byAgent && {
        affinity: { ...affinityOf(['agent'], 0), balancer: new ConsistentHash(random, 1.5) },
      }),
    },
  );
  const judge = classifier([], generic, () => clock.wallTime());
  const select = selectEndpoint(set, judge, { clock, emit: () => undefined, upstream: 'main' });
  return { select, oddCalls: () => servers[0]?.[1].calls ?? 0 };
}
