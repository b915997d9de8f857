/** What can be said of the number of a service's instances. `out`: there should be more; `in`: fewer. */
export const SCALING_ADVICE = ['hold', 'out', 'in'] as const;

export type ScalingAdvice = (typeof SCALING_ADVICE)[number];
