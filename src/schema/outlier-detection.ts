/** The section `outlierDetection` of an upstream's policies, and what outlives the process. */
import { z } from 'zod';
import { savedInstant, savedWindow } from './saved.ts';
import { count, positiveCount, positiveDuration, ratio } from './scalars.ts';

const off = (text: string) => `${text} \`false\`: not a reason.`;

export const outlierDetectionSchema = z
  .strictObject({
    connectFailures: z
      .union([z.literal(false), positiveCount])
      .default(1)
      .describe(off('Attempts in a row that do not reach the endpoint, after which it is ejected.')),
    consecutiveFailures: z
      .union([z.literal(false), positiveCount])
      .default(5)
      .describe(off('Failures in a row, whatever they are, after which it is ejected.')),
    failureRatio: z
      .union([z.literal(false), ratio.gt(0)])
      .default(0.5)
      .describe(off('Ejected when at least this share of its calls is proven to fail.')),
    aboveSiblings: z
      .union([z.literal(false), ratio])
      .default(0.05)
      .describe(
        off(
          'Ejected when its share of failures is proven to be higher by at least this than that of the others.',
        ),
      ),
    minimumCalls: positiveCount.default(5).describe('Calls in the window below which no share counts.'),
    window: positiveDuration
      .prefault('5m')
      .describe('Length of the window, in true time: quiet minutes age out.'),
    ejectFor: positiveDuration
      .prefault('10s')
      .describe(
        'Time out after the first ejection; it grows by as much with each further one in a row. Jitter adds up to a tenth.',
      ),
    maxEjectFor: positiveDuration.prefault('5m').describe('No ejection lasts longer, jitter aside.'),
    maxEjected: ratio
      .gt(0)
      .default(0.5)
      .describe('Share of the endpoints that may be ejected at a time, rounded up; but never the last.'),
    probes: positiveCount
      .default(1)
      .describe('Calls, one at a time, that must succeed when the time is over, before it is back.'),
    probeTimeout: positiveDuration
      .prefault('10s')
      .describe(
        'After this long a probe that is still receiving counts as a success, and one without a response frees its place.',
      ),
  })
  .describe(
    'Takes endpoints that fail out of the choice while others do not, and lets them back by single calls.',
  );

/** More endpoints than an upstream has. */
const MAX_SAVED = 10_000;

/** What is kept for the next process. */
export const savedOutliersSchema = z.object({
  endpoints: z
    .array(
      z.object({
        name: z.string(),
        out: z.boolean(),
        reason: z.enum(['connect', 'consecutive', 'ratio', 'siblings', 'probe']).nullable(),
        count,
        until: savedInstant,
        backAt: savedInstant,
        consecutiveFailures: count,
        window: savedWindow,
      }),
    )
    .max(MAX_SAVED),
});

export type OutlierDetectionOptions = z.output<typeof outlierDetectionSchema>;

export type SavedOutlier = z.output<typeof savedOutliersSchema>['endpoints'][number];
