/** Everything that policies keep, in this process alone. */
import type { Clock } from '../../core/clock.ts';
import type { Stores } from '../../core/stores.ts';
import { memoryAnswers } from './answers.ts';
import { openMemoryIdempotency } from './idempotency.ts';
import { MemoryLimits } from './limits.ts';

export const memoryStores = (clock: Clock): Stores => ({
  limits: new MemoryLimits(clock),
  answers: memoryAnswers(clock),
  idempotency: openMemoryIdempotency(clock),
});
