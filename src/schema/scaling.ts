/** When an upstream should have more instances, or fewer. */
import { z } from 'zod';
import { count, duration, positiveCount, positiveDuration } from './scalars.ts';

const load = z.number().gt(0).max(1_000_000);

export const scalingSchema = z
  .strictObject({
    out: load
      .default(100)
      .describe('Calls under way an endpoint, on average, above which more endpoints are advised.'),
    in: z.number().min(0).max(1_000_000).default(10).describe('Below which fewer are advised. 0: never.'),
    target: load
      .optional()
      .describe(
        'Calls that an endpoint is meant to have: what the desired number is reckoned from. Between `in` and `out`. Default: half-way between them.',
      ),
    capacity: positiveCount
      .optional()
      .describe(
        'Calls that one endpoint can have at most: what saturation is relative to. Default: the limit of the bulkhead, for all of them.',
      ),
    window: positiveDuration.prefault('1m').describe('Time over which calls are averaged.'),
    outAfter: duration.prefault('30s').describe('How long it must have been too much.'),
    inAfter: duration.prefault('5m').describe('How long it must have been too little.'),
    cooldown: duration
      .prefault('3m')
      .describe('No advice for so long after the number of endpoints has changed.'),
    min: count.max(100_000).default(1).describe('Fewest endpoints.'),
    max: positiveCount.max(100_000).default(1_000).describe('Most endpoints.'),
  })
  .refine((one) => one.in < one.out, { error: 'expected in to be below out', path: ['in'] })
  .refine(({ target, ...one }) => target === undefined || (one.in < target && target < one.out), {
    error: 'expected target to be between in and out',
    path: ['target'],
  })
  .refine(({ min, max }) => min <= max, { error: 'expected min to be at most max', path: ['min'] })
  .describe('Advice on how many endpoints there should be, for autoscalers. Nothing is scaled by it.');

export type ScalingOptions = z.output<typeof scalingSchema>;
