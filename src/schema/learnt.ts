/** A duration that is learnt from what was seen, in place of a fixed one. */
import { z } from 'zod';
import { percentile, positiveCount, positiveDuration } from './scalars.ts';

export interface LearntDefaults {
  readonly min: string;
  readonly max: string;
  readonly factor: number;
}

/** @param of what is measured, as the end of a sentence */
export function learntSchema(of: string, { min, max, factor }: LearntDefaults) {
  return z
    .strictObject({
      learn: percentile.prefault('p95').describe(`Percentile of ${of} over the window.`),
      factor: z.number().gt(0).max(100).default(factor).describe('What the percentile is multiplied by.'),
      min: positiveDuration.prefault(min).describe('It is never less.'),
      max: positiveDuration.prefault(max).describe('It is never more.'),
      minimumSamples: positiveCount.default(20).describe('With fewer in the window nothing has been learnt.'),
      window: positiveDuration.prefault('10m').describe('Length of the window.'),
    })
    .refine((one) => one.min <= one.max, { path: ['min'], error: 'expected at most max' });
}

export type LearntOptions = z.output<ReturnType<typeof learntSchema>>;

/** The same as algorithms/learnt-duration.ts takes it. */
export const learntDurationOf = (options: LearntOptions) => ({
  percentile: options.learn,
  factor: options.factor,
  minMs: options.min,
  maxMs: options.max,
  minimumSamples: options.minimumSamples,
  windowMs: options.window,
});
