/** How important a call is: as its client says, or as the operator says of its agent or route. For everything that queues. */
import { z } from 'zod';
import type { Exchange } from '../core/exchange.ts';
import { headerValue } from '../core/header-list.ts';
import { headerName, positiveDuration } from './scalars.ts';

const rankName = z.string().toLowerCase();

export const prioritySchema = z
  .strictObject({
    header: headerName.default('x-priority').describe('Request field that names the priority of a call.'),
    ranks: z
      .record(rankName, z.number().int().min(-100).max(100))
      .default({ high: 1, normal: 0, low: -1 })
      .describe('Rank of each name; the higher, the sooner.'),
    agents: z
      .record(z.string(), rankName)
      .default({})
      .describe('Name that counts for calls of an agent that bring none of the known ones.'),
    routes: z
      .record(z.string(), rankName)
      .default({})
      .describe('The same by the route that calls came in by, after `agents`.'),
    default: rankName.default('normal').describe('Name that counts for all other calls.'),
    ageing: positiveDuration
      .prefault('10s')
      .describe('Waiting that outweighs one rank, so that nobody waits for ever.'),
  })
  .refine(({ ranks, default: usual }) => Object.hasOwn(ranks, usual), {
    error: 'expected default to be one of ranks',
  })
  .refine(({ ranks, agents }) => Object.values(agents).every((name) => Object.hasOwn(ranks, name)), {
    error: 'expected the priority of every agent to be one of ranks',
  })
  .refine(({ ranks, routes }) => Object.values(routes).every((name) => Object.hasOwn(ranks, name)), {
    error: 'expected the priority of every route to be one of ranks',
  })
  .prefault({})
  .describe('Who goes first where calls wait.');

export type PriorityOptions = z.output<typeof prioritySchema>;

/** Rank of a call: by its own word, else its agent's, else its route's, else the usual one. */
export function rankOf(
  { request, agentId, route }: Pick<Exchange, 'request' | 'agentId' | 'route'>,
  { header, ranks, agents, routes, default: usual }: PriorityOptions,
): number {
  const said = headerValue(request.headers, header.toLowerCase())?.trim().toLowerCase();
  const named = agentId === undefined ? undefined : own(agents, agentId);
  return own(ranks, said) ?? own(ranks, named) ?? own(ranks, own(routes, route)) ?? own(ranks, usual) ?? 0;
}

/** A header may say `constructor`. */
const own = <T>(map: Readonly<Record<string, T>>, key: string | undefined): T | undefined =>
  key !== undefined && Object.hasOwn(map, key) ? map[key] : undefined;
