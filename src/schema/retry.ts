/** The options of the policy `retry`. */
import { z } from 'zod';
import { ANSWER_CLASSES } from '../core/verdict.ts';
import { count, duration, positiveCount, positiveDuration, ratio } from './scalars.ts';

const backoffSchema = z
  .strictObject({
    kind: z
      .enum(['exponential', 'constant'])
      .default('exponential')
      .describe('How delays grow. `constant` suits async work.'),
    initial: duration.prefault('250ms').describe('Delay before the first retry, before jitter.'),
    max: duration.prefault('8s').describe('No delay is longer, except where the upstream asks for it.'),
    multiplier: z.number().min(1).max(10).default(2).describe('Growth from one retry to the next.'),
    jitter: z
      .enum(['full', 'equal', 'decorrelated', 'proportional', 'none'])
      .default('full')
      .describe(
        'full: 0 to the delay; equal: half to all of it; decorrelated: grows from the delay before; proportional: up to jitterRatio longer.',
      ),
    jitterRatio: ratio.default(0.1).describe('Share that `proportional` adds at most.'),
  })
  .prefault({})
  .describe('Delays between attempts.');

const budgetSchema = z
  .union([
    z.literal(false),
    z.strictObject({
      ratio: ratio.default(0.2).describe('Retries per request over the window.'),
      floor: count.default(3).describe('Retries that every window allows whatever the traffic.'),
      window: positiveDuration.prefault('10s').describe('Length of the window.'),
    }),
  ])
  .prefault({})
  .describe('Bounds retries to a share of recent requests. `false`: no budget; an outage is then amplified.');

const feedbackSchema = z
  .union([
    z.literal(false),
    z.strictObject({
      window: positiveDuration.prefault('60s').describe('Stretch of time that is looked at.'),
      minimumCalls: positiveCount
        .default(5)
        .describe('With fewer in the window the upstream counts as well.'),
      errorRatio: ratio.gt(0).default(0.3).describe('Share of failures from which on they count in full.'),
      latency: positiveDuration
        .prefault('500ms')
        .describe('Mean time to the head, or to the failure, from which on it counts in full.'),
      timeouts: positiveCount.default(5).describe('Timeouts in the window from which on they count in full.'),
      weights: z
        .strictObject({
          errors: ratio.default(0.6).describe('Weight of failures.'),
          latency: ratio.default(0.3).describe('Weight of latency.'),
          timeouts: ratio.default(0.1).describe('Weight of timeouts.'),
        })
        .refine((one) => one.errors + one.latency + one.timeouts > 0, {
          error: 'expected at least one weight above 0',
        })
        .prefault({})
        .describe('What counts how much; only their ratios matter.'),
    }),
  ])
  .default(false)
  .describe('Fewer retries and longer delays the worse the upstream does. `false`: off.');

export const retrySchema = z
  .strictObject({
    maxRetries: count.max(20).default(2).describe('Attempts after the first.'),
    classes: z
      .array(z.enum(ANSWER_CLASSES).exclude(['ok']))
      .default(['transient', 'throttled', 'overloaded'])
      .describe('Classes of outcomes that are tried again.'),
    backoff: backoffSchema,
    budget: budgetSchema,
    feedback: feedbackSchema,
    maxElapsed: z
      .union([z.literal(false), positiveDuration])
      .prefault('60s')
      .describe('No retry starts later than this after the first attempt began.'),
    maxRetryAfter: duration
      .prefault('30s')
      .describe('An upstream that asks to wait longer gets no retry: the client is told at once.'),
  })
  .describe('Further attempts after failures that another attempt can mend.');

export type RetryOptions = z.output<typeof retrySchema>;
