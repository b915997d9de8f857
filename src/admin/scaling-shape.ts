/** What advice on scaling looks like wherever the admin plane tells it. */
import { SCALING_ADVICE } from '../core/scaling.ts';

export const scalingShape = {
  advice: { type: 'string', enum: SCALING_ADVICE },
  instances: { type: 'integer' },
  desiredInstances: { type: 'integer' },
  demand: { type: 'number' },
  demandPerInstance: { type: 'number' },
} as const;
