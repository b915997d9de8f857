/** The `playground` section: what the embedded provider answers, and how often it fails in which way. */
import { z } from 'zod';
import { count, duration, listenAddress, ratio } from '../schema/scalars.ts';

/** A sum of decimal shares may exceed 1 by rounding alone, as 0.1 + 0.2 exceeds 0.3. */
const ROUNDING = 1e-9;

const RATIO_FIELDS = [
  'errorRatio',
  'throttleRatio',
  'resetRatio',
  'stallRatio',
  'cutRatio',
  'slowRatio',
] as const;

const latencySchema = z
  .strictObject({
    min: duration.prefault('0ms').describe('The shortest time before a normal answer begins.'),
    max: duration.prefault('0ms').describe('The longest time before a normal answer begins; at least `min`.'),
  })
  .refine(({ min, max }) => min <= max, { error: 'expected min to be at most max', path: ['max'] });

/** The `faults` section alone, for changing faults at run time. */
export const playgroundFaultsSchema = z
  .strictObject({
    errorRatio: ratio.prefault(0).describe('Share of requests answered by a status from `errorStatuses`.'),
    errorStatuses: z
      .array(z.number().int().min(400).max(599))
      .min(1)
      .prefault([500, 503])
      .describe('Statuses to choose from, each equally likely, when `errorRatio` strikes.'),
    throttleRatio: ratio.prefault(0).describe('Share of requests answered by 429 with `retryAfter`.'),
    retryAfter: duration
      .prefault('200ms')
      .describe('What a 429 asks for: exact in retry-after-ms, rounded up to seconds in retry-after.'),
    resetRatio: ratio
      .prefault(0)
      .describe('Share of requests whose connection is reset (RST) before any byte of the answer.'),
    stallRatio: ratio.prefault(0).describe('Share of requests that are accepted and never answered.'),
    stallFor: duration
      .prefault('1h')
      .describe('How long a stalled request stays silent before its connection is closed.'),
    cutRatio: ratio
      .prefault(0)
      .describe(
        'Share of answers that end half-way: streams end cleanly without their terminator, JSON breaks off.',
      ),
    slowRatio: ratio.prefault(0).describe('Share of answers that begin late by `slowBy`.'),
    slowBy: duration.prefault('5s').describe('What a slow answer waits in addition to its latency.'),
    latency: latencySchema
      .prefault({})
      .describe('Time before a normal answer begins, uniform between min and max.'),
  })
  .refine((faults) => RATIO_FIELDS.reduce((sum, field) => sum + faults[field], 0) <= 1 + ROUNDING, {
    error: `expected the ratios to add up to at most 1: a request meets one fault (${RATIO_FIELDS.join(', ')})`,
  });

const streamSchema = z.strictObject({
  tokens: z
    .number()
    .int()
    .min(1)
    .max(10_000)
    .prefault(24)
    .describe(
      'Length of every answer in tokens, streamed or not, unless the request asks for fewer; 1 to 10000.',
    ),
  interval: duration.prefault('10ms').describe('Time between two tokens of a stream.'),
});

/** Everything has a default, so `playground: {}` is a provider without faults on port 8089. */
export const playgroundSchema = z.strictObject({
  listen: listenAddress.prefault('127.0.0.1:8089').describe('Where the playground listens.'),
  seed: count
    .max(0xffff_ffff)
    .optional()
    .describe(
      'Fixes the sequence of faults and latencies, by order of arrival. Without it they differ every time.',
    ),
  faults: playgroundFaultsSchema.prefault({}).describe('How often the playground fails, and in which way.'),
  stream: streamSchema.prefault({}).describe('Length and pace of the answers.'),
});

export type PlaygroundFaults = z.output<typeof playgroundFaultsSchema>;
export type PlaygroundOptions = z.output<typeof playgroundSchema>;
