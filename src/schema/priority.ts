/** How important a call is, as its client says, in the operator's words. For everything that queues. */
import { z } from 'zod';
import { headerValue } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import { headerName, positiveDuration } from './scalars.ts';

export const prioritySchema = z
  .strictObject({
    header: headerName.default('x-priority').describe('Request field that names the priority of a call.'),
    ranks: z
      .record(z.string().toLowerCase(), z.number().int().min(-100).max(100))
      .default({ high: 1, normal: 0, low: -1 })
      .describe('Rank of each name; the higher, the sooner.'),
    default: z
      .string()
      .toLowerCase()
      .default('normal')
      .describe('Name that counts for calls without one, or with another.'),
    ageing: positiveDuration
      .prefault('10s')
      .describe('Waiting that outweighs one rank, so that nobody waits for ever.'),
  })
  .refine((options) => Object.hasOwn(options.ranks, options.default), {
    error: 'expected default to be one of ranks',
  })
  .prefault({})
  .describe('Who goes first where calls wait.');

export type PriorityOptions = z.output<typeof prioritySchema>;

/** Rank of a call by its request's headers. */
export function rankOf(headers: HeaderList, { header, ranks, default: usual }: PriorityOptions): number {
  const name = headerValue(headers, header.toLowerCase())?.trim().toLowerCase();
  const known = name !== undefined && Object.hasOwn(ranks, name) ? ranks[name] : ranks[usual];
  return known ?? 0;
}
