/** From what DNS tells to endpoints: the meaning of SRV priorities and weights in ours. */
import { isIPv6 } from 'node:net';
import type { EndpointDescription } from '../../core/endpoint.ts';
import type { Located } from './lookup.ts';

export interface Reach {
  readonly scheme: 'http' | 'https';
  readonly basePath: string;
  /** For the Host field and the certificate. Undefined: the SRV target, else the name that was looked up. */
  readonly hostName?: string | undefined;
  readonly name: string;
}

/** What a record with weight 0 gets beside others, as a share of the smallest: "a very small chance" (RFC 2782). */
const SHARE_OF_ZERO = 0.01;
/** Ours go up to here, those of SRV records to 65,535; what counts is how they compare. */
const MAX_WEIGHT = 1_000;
const MAX_PRIORITY = 100;

/** One endpoint for each, best priority first. */
export function descriptionsOf(located: readonly Located[], reach: Reach): EndpointDescription[] {
  const priorities = [...new Set(located.map(({ srv }) => srv?.priority ?? 0))].sort((a, b) => a - b);
  return priorities.flatMap((priority, rank) => {
    const group = located.filter(({ srv }) => (srv?.priority ?? 0) === priority);
    const weights = weightsOf(group);
    return group.map((one, i) => ({
      url: urlOf(one, reach),
      hostName: reach.hostName ?? one.srv?.target ?? reach.name,
      weight: weights[i] ?? 1,
      priority: Math.min(rank, MAX_PRIORITY),
    }));
  });
}

const urlOf = ({ address, port }: Located, { scheme, basePath }: Reach): string =>
  `${scheme}://${isIPv6(address) ? `[${address}]` : address}:${port}${basePath}`;

/** A record's weight is shared by the addresses of its target. */
function weightsOf(group: readonly Located[]): number[] {
  const positive = group.flatMap(({ srv }) => (srv && srv.weight > 0 ? [srv.weight] : []));
  const zero = positive.length === 0 ? 1 : Math.min(...positive) * SHARE_OF_ZERO;
  const scale = Math.min(1, MAX_WEIGHT / Math.max(1, ...positive));
  return group.map(({ srv, port }) => {
    if (!srv) return 1;
    const siblings = group.filter((one) => one.srv?.target === srv.target && one.port === port);
    const own = ((srv.weight > 0 ? srv.weight : zero) * scale) / siblings.length;
    // Neither above the highest by a rounding error, nor another number each time.
    return Number(own.toPrecision(6));
  });
}
