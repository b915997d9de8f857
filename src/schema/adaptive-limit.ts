/** How a bulkhead finds its limit by itself. */
import { z } from 'zod';
import { positiveCount, positiveDuration } from './scalars.ts';

export const adaptiveLimitSchema = z
  .union([
    z.literal(false),
    z.strictObject({
      algorithm: z
        .enum(['gradient', 'aimd'])
        .default('gradient')
        .describe(
          'gradient: by latency and drops; aimd: by drops alone, one more in each round, a share less at each drop.',
        ),
      min: positiveCount.default(2).describe('The limit never sinks below.'),
      initial: positiveCount.default(8).describe('The limit at the start.'),
      backoffRatio: z
        .number()
        .gt(0)
        .lt(1)
        .default(0.75)
        .describe('Share of the limit that is left after a drop.'),
      tolerance: z
        .number()
        .gt(1)
        .max(10)
        .default(1.5)
        .describe('gradient: how many times as long as without load answers may take.'),
      latencyThreshold: z
        .union([z.literal(false), positiveDuration])
        .prefault(false)
        .describe('aimd: an answer whose head takes longer counts as a drop. `false`: none does.'),
    }),
  ])
  .prefault(false)
  .describe('Find the limit by how the upstream bears the load. `false`: it is `maxConcurrent`.');

export type AdaptiveLimitOptions = Exclude<z.output<typeof adaptiveLimitSchema>, false>;
